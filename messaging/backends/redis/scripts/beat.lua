-- Count one beat, and look who else is there.
-- KEYS: members, beats, some streams of the group
-- ARGV: group, incarnation
-- Returns 0 when this consumer is fenced, else beats as a flat list, then orphans, then how much of
-- each stream is lent to this consumer; -1 where the group is not there.
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
local orphans, seen, lent = {}, { returned = true }, {}
for i = 3, #KEYS do
  local summary = redis.pcall('XPENDING', KEYS[i], ARGV[1])
  lent[i - 2] = summary['err'] and -1 or 0
  for _, pair in ipairs(not summary['err'] and summary[4] or {}) do
    local name = pair[1]
    if name == ARGV[2] then lent[i - 2] = tonumber(pair[2]) end
    if not seen[name] and redis.call('HEXISTS', KEYS[1], name) == 0 then
      orphans[#orphans + 1] = name
    end
    seen[name] = true
  end
end
return { redis.call('HGETALL', KEYS[2]), orphans, lent }
