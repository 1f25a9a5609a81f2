-- Write one value of a group's state now, apart from any commit.
-- KEYS: members, state, floors
-- ARGV: group, incarnation, key, expected version, set or delete, value
-- Returns the new version, 0 when deleted; -1 fenced, -2 another version is there.
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return -1 end
local expected, is_set = tonumber(ARGV[4]), ARGV[5] == 'set'
local stored = redis.call('HGET', KEYS[2], ARGV[3])
local version, value = 0, nil
if stored then
  version, value = string.match(stored, '^(%d+):(.*)$')
  version = tonumber(version)
end
if version ~= expected then
  -- The same write, sent again because its answer was lost?
  if is_set and value == ARGV[6] then return version end
  if not is_set and not stored then return 0 end
  return -2
end
local floor = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or 0)
if not is_set then
  redis.call('HSET', KEYS[3], ARGV[1], math.max(floor, version))
  redis.call('HDEL', KEYS[2], ARGV[3])
  return 0
end
version = (version == 0 and floor or version) + 1
redis.call('HSET', KEYS[2], ARGV[3], version .. ':' .. ARGV[6])
return version
