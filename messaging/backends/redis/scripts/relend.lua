-- Lend once more what a stranger took out of a consumer's hands, as XGROUP DELCONSUMER and XACK do:
-- entries that nobody is lent any more although the consumer has not settled them.
-- KEYS: members, stream
-- ARGV: group, incarnation, then ids
-- Returns -1 when this consumer is fenced, else how many are lent to it again.
local group, me, again = ARGV[1], ARGV[2], 0
if redis.call('HEXISTS', KEYS[1], me) == 0 then return -1 end
for at = 3, #ARGV do
  local id = ARGV[at]
  if not redis.call('XPENDING', KEYS[2], group, id, id, 1)[1] then
    local entry = redis.call('XCLAIM', KEYS[2], group, me, 0, id, 'RETRYCOUNT', 1, 'FORCE')[1]
    if entry and entry[2] then
      again = again + 1
    else -- trimmed meanwhile; it is handled all the same, unless this process dies
      redis.call('XACK', KEYS[2], group, id)
    end
  end
end
return again
