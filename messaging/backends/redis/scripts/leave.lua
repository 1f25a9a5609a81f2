-- Give entries back with the count they had before, then forget the consumer.
-- KEYS: members, beats, consumers that joined within a day, streams of the group
-- ARGV: group, incarnation, channel that wakes the group, then (stream, id, lent before)
local group, me = ARGV[1], ARGV[2]
if redis.call('HEXISTS', KEYS[1], me) == 0 then return 0 end
for at = 4, #ARGV, 3 do
  local stream = KEYS[3 + tonumber(ARGV[at])]
  local held = redis.pcall('XPENDING', stream, group, ARGV[at + 1], ARGV[at + 1], 1, me)
  if held[1] then
    redis.call('XCLAIM', stream, group, 'returned', 0, ARGV[at + 1], 'RETRYCOUNT', ARGV[at + 2], 'JUSTID')
  end
end
for i = 4, #KEYS do
  local held = redis.pcall('XPENDING', KEYS[i], group, '-', '+', 1, me)
  if not held['err'] and #held == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[i], group, me) end
end
redis.call('HDEL', KEYS[1], me)
redis.call('HDEL', KEYS[2], me)
redis.call('ZREM', KEYS[3], me)
redis.call('PUBLISH', ARGV[3], '')
return 1
