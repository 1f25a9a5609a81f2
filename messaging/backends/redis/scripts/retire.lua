-- Drop a group from a topic it left, once it has settled what it was still owed.
-- KEYS: stream, bounds
-- ARGV: group, topic
local bound = redis.call('HGET', KEYS[2], ARGV[2])
local found = bound and find_group(KEYS[1], ARGV[1])
if not found then
  redis.call('HDEL', KEYS[2], ARGV[2])
  return 1
end
if field(found, 'pending') > 0 or compare(field(found, 'last-delivered-id'), bound) < 0 then return 0 end
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[2])
return 1
