-- Forget a group and everything it was owed.
-- KEYS: registry, topics, groups, floors, stream of its retries, then keys that are the group's own
-- ARGV: group, retry topic, registry channel, stream prefix, number of own keys
local group = ARGV[1]
if redis.call('HDEL', KEYS[3], group) == 0 then return 0 end
for _, topic in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local stream = ARGV[4] .. topic
  if redis.call('EXISTS', stream) == 1 then redis.call('XGROUP', 'DESTROY', stream, group) end
end
redis.call('DEL', KEYS[5] .. '!', unpack(KEYS, 5))
redis.call('HDEL', KEYS[4], group)
redis.call('ZREM', KEYS[2], ARGV[2])
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'removed', version)
redis.call('PUBLISH', ARGV[3], '')
return 1
