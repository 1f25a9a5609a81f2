-- Bring a topic into being with a group for everybody who is owed its first entry.
-- KEYS: registry, topics, stream
-- ARGV: registry the groups were chosen at, topic, registry channel, groups
-- Returns -1 when the registry has moved on, 1 when the topic had lost its stream, else 0.
local version = version_if_still(KEYS[1], ARGV[1])
if not version then return -1 end
local known = redis.call('ZSCORE', KEYS[2], ARGV[2])
local present = redis.call('EXISTS', KEYS[3]) == 1
if known and present then return 0 end
create_stream(KEYS[3])
for i = 4, #ARGV do create_group(KEYS[3], ARGV[i], '0') end
redis.call('HSETNX', KEYS[1], 'id', string.format('%.0f', now_ms()))
redis.call('ZADD', KEYS[2], version + 1, ARGV[2])
redis.call('HSET', KEYS[1], 'version', version + 1)
redis.call('PUBLISH', ARGV[3], '')
return known and 1 or 0
