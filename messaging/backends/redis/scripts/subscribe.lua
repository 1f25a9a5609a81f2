-- Register a group: groups on the topics that fit, an end to those that fit no longer.
-- KEYS: registry, topics, groups, bounds of the group, stream of its retries
-- ARGV: version the topics were chosen at, group, patterns, retry topic, registry channel,
--       stream prefix, number of topics that fit, those, then all other topics
-- Returns -1 when the registry has moved on, else 0.
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if version ~= tonumber(ARGV[1]) then return -1 end
local group, fitting = ARGV[2], tonumber(ARGV[7])
local was_there = redis.call('HEXISTS', KEYS[3], group) == 1

redis.call('HSETNX', KEYS[1], 'id', string.format('%.0f', now_ms()))
redis.call('HSET', KEYS[1], 'version', version + 1)
redis.call('HSET', KEYS[3], group, ARGV[3])
create_group(KEYS[5], group, '0')
if not redis.call('ZSCORE', KEYS[2], ARGV[4]) then redis.call('ZADD', KEYS[2], version + 1, ARGV[4]) end
for i = 8, 7 + fitting do
  create_group(ARGV[6] .. ARGV[i], group, '$')
  redis.call('HDEL', KEYS[4], ARGV[i])
end
if was_there then
  for i = 8 + fitting, #ARGV do
    local stream = ARGV[6] .. ARGV[i]
    local found = find_group(stream, group)
    if found and redis.call('HEXISTS', KEYS[4], ARGV[i]) == 0 then
      local newest = field(redis.call('XINFO', 'STREAM', stream), 'last-generated-id')
      if field(found, 'pending') == 0 and field(found, 'last-delivered-id') == newest then
        redis.call('XGROUP', 'DESTROY', stream, group)
      else
        redis.call('HSET', KEYS[4], ARGV[i], newest)
      end
    end
  end
end
redis.call('PUBLISH', ARGV[5], '')
return 0
