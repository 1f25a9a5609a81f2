-- Make a consumer its group's only reader, unless another one that counts is it.
-- KEYS: members, leader
-- ARGV: incarnation
-- Returns 0 when this consumer is fenced, 1 when another one leads, 2 when this one does.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local leader = redis.call('GET', KEYS[2])
if leader ~= ARGV[1] then
  if leader and redis.call('HEXISTS', KEYS[1], leader) == 1 then return 1 end
  redis.call('SET', KEYS[2], ARGV[1])
end
return 2
