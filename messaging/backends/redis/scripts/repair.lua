-- Give a subscribed group back what somebody deleted: streams and groups, from the start.
-- KEYS: groups, then streams
-- ARGV: group, then the first position of each stream
-- Returns the numbers of the streams that were repaired.
local repaired = {}
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return repaired end
for i = 2, #KEYS do
  if create_group(KEYS[i], ARGV[1], '0') then repaired[#repaired + 1] = i - 1 end
end
return repaired
