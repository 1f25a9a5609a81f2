-- What changed in the registry since a version.
-- KEYS: registry, topics, groups, stamps of the groups
-- ARGV: version and identity known so far
-- Returns identity ("" when there is no registry), version, whether topics holds all, topics,
-- groups and stamps as flat lists.
local identity = redis.call('HGET', KEYS[1], 'id') or ''
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
local removed = tonumber(redis.call('HGET', KEYS[1], 'removed') or 0)
local known = tonumber(ARGV[1])
local all = identity ~= ARGV[2] or removed > known or version < known
local topics = redis.call('ZRANGEBYSCORE', KEYS[2], all and '-inf' or '(' .. known, '+inf')
local stamps = redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES')
return { identity, version, all and 1 or 0, topics, redis.call('HGETALL', KEYS[3]), stamps }
