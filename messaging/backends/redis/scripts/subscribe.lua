-- Register a group: groups on the topics that fit, an end to those that fit no longer.
-- KEYS: registry, topics, groups, bounds of the group, stream of its retries, stamps of the groups,
--       groups by the version that they were subscribed at
-- ARGV: registry the topics were chosen at, group, patterns, retry topic, registry channel,
--       stream prefix, stamp, number of topics that fit, those, then the topics that fit no longer
-- With a stamp this is an older subscription which the server has forgotten: it counts unless
-- something later is known of the group, and begins where the topics begin.
-- A group that has these patterns already leaves the registry as it is; it gets back only what
-- somebody took from it.
-- Returns -1 when the registry has moved on, 1 when something later is known, else 0.
local version = version_if_still(KEYS[1], ARGV[1])
if not version then return -1 end
local group, stamp, fitting = ARGV[2], tonumber(ARGV[7]), tonumber(ARGV[8])
if stamp and stamp <= stamp_of(KEYS[6], group) then return 1 end
local new_stamp = stamp or next_stamp(KEYS[6], group)
local had = redis.call('HGET', KEYS[3], group)
local has_retries = redis.call('ZSCORE', KEYS[2], ARGV[4])
local has_changed = stamp or had ~= ARGV[3] or not has_retries

if has_changed then
  redis.call('HSETNX', KEYS[1], 'id', string.format('%.0f', now_ms()))
  redis.call('HSET', KEYS[1], 'version', version + 1)
  redis.call('HSET', KEYS[3], group, ARGV[3])
  redis.call('ZADD', KEYS[6], new_stamp, group)
  redis.call('ZADD', KEYS[7], version + 1, group)
end
create_group(KEYS[5], group, '0')
if not has_retries then redis.call('ZADD', KEYS[2], version + 1, ARGV[4]) end
for i = 9, 8 + fitting do
  create_group(ARGV[6] .. ARGV[i], group, stamp and '0' or '$')
  redis.call('HDEL', KEYS[4], ARGV[i])
end
if had then
  for i = 9 + fitting, #ARGV do
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
if has_changed then redis.call('PUBLISH', ARGV[5], '') end
return 0
