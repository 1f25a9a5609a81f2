-- Pause or resume a group.
-- KEYS: paused groups, stamps of the groups, registry
-- ARGV: group, "1" to pause, registry channel, stamp
-- With a stamp this was done before and the server has forgotten it: it counts unless something
-- later is known.
local group, is_paused, stamp = ARGV[1], ARGV[2] == '1', tonumber(ARGV[4])
local name = group .. ' paused'
if stamp and stamp <= stamp_of(KEYS[2], name) then return 0 end
stamp = stamp or next_stamp(KEYS[2], name)
redis.call('HINCRBY', KEYS[3], 'version', 1)
redis.call(is_paused and 'SADD' or 'SREM', KEYS[1], group)
redis.call('ZADD', KEYS[2], is_paused and stamp or -stamp, name)
redis.call('ZREMRANGEBYSCORE', KEYS[2], 86400000 - now_ms(), '(0') -- what was resumed a day ago
redis.call('PUBLISH', ARGV[3], '')
return 1
