-- Forget a group and everything it was owed, but not when that was.
-- KEYS: registry, topics, groups, floors, stamps of the groups, groups by the version that they were
--       subscribed at, stream of its retries, then keys that are the group's own; the first three
--       of these its partitions have too
-- ARGV: group, retry topic, registry channel, stream prefix, stamp
-- With a stamp this was done before and the server has forgotten it: it counts unless something
-- later is known of the group.
-- Returns whether the group was there.
local group, streams, stamp = ARGV[1], {}, tonumber(ARGV[5])
local partition, owned, own = '_partition.' .. ARGV[1] .. '.', { ARGV[2] }, { unpack(KEYS, 7) }
for _, topic in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do -- fails first, if keys are on their way
  local stream = ARGV[4] .. topic
  if redis.call('EXISTS', stream) == 1 then streams[#streams + 1] = stream end
  local number = string.sub(topic, 1, #partition) == partition and string.sub(topic, #partition + 1)
  if number and string.match(number, '^%d+$') then
    owned[#owned + 1] = topic
    own[#own + 1] = stream
    for i = 8, 10 do own[#own + 1] = KEYS[i] .. '#' .. number end
  end
end
for _, topic in ipairs(owned) do own[#own + 1] = ARGV[4] .. topic .. '!' end
redis.call('EXISTS', unpack(own))
if stamp and stamp <= stamp_of(KEYS[5], group) then return 0 end
redis.call('ZADD', KEYS[5], -(stamp or next_stamp(KEYS[5], group)), group)
redis.call('ZREMRANGEBYSCORE', KEYS[5], 86400000 - now_ms(), '(0') -- what has gone for a day
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PUBLISH', ARGV[3], '')
if redis.call('HDEL', KEYS[3], group) == 0 then return 0 end -- but others may remember it
for _, stream in ipairs(streams) do redis.call('XGROUP', 'DESTROY', stream, group) end
redis.call('DEL', unpack(own))
redis.call('HDEL', KEYS[4], group)
redis.call('ZREM', KEYS[6], group)
redis.call('ZREM', KEYS[2], unpack(owned))
redis.call('HSET', KEYS[1], 'removed', version)
return 1
