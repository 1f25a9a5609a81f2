-- Forget a group and everything it was owed.
-- KEYS: registry, topics, groups, floors, stream of its retries, then keys that are the group's own;
--       the first three of these its partitions have too
-- ARGV: group, retry topic, registry channel, stream prefix
local group, streams = ARGV[1], {}
local partition, owned, own = '_partition.' .. ARGV[1] .. '.', { ARGV[2] }, { unpack(KEYS, 5) }
for _, topic in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do -- fails first, if keys are on their way
  local stream = ARGV[4] .. topic
  if redis.call('EXISTS', stream) == 1 then streams[#streams + 1] = stream end
  local number = string.sub(topic, 1, #partition) == partition and string.sub(topic, #partition + 1)
  if number and string.match(number, '^%d+$') then
    owned[#owned + 1] = topic
    own[#own + 1] = stream
    for i = 6, 8 do own[#own + 1] = KEYS[i] .. '#' .. number end
  end
end
for _, topic in ipairs(owned) do own[#own + 1] = ARGV[4] .. topic .. '!' end
redis.call('EXISTS', unpack(own))
if redis.call('HDEL', KEYS[3], group) == 0 then return 0 end
for _, stream in ipairs(streams) do redis.call('XGROUP', 'DESTROY', stream, group) end
redis.call('DEL', unpack(own))
redis.call('HDEL', KEYS[4], group)
redis.call('ZREM', KEYS[2], unpack(owned))
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'removed', version)
redis.call('PUBLISH', ARGV[3], '')
return 1
