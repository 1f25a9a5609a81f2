-- Register a consumer of a subscribed group; 0 when the group is not.
-- KEYS: groups, members, beats, consumers that joined within a day
-- ARGV: group, incarnation
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 86400000)
redis.call('ZADD', KEYS[4], now, ARGV[2])
redis.call('HSETNX', KEYS[2], ARGV[2], '0:')
redis.call('HSETNX', KEYS[3], ARGV[2], 0)
return 1
