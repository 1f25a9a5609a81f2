-- Drop what every group of a stream has settled; a stream without groups keeps its last entries.
-- KEYS: stream
-- ARGV: entries kept where there is no group, milliseconds for which settled ones are kept
-- Returns how many were dropped, how many are left, and the group that needs the oldest of those.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 0, 0, '' } end
local groups, lowest, lagging = redis.call('XINFO', 'GROUPS', KEYS[1]), nil, ''
if #groups == 0 then
  local dropped = redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
  trim_beside(KEYS[1])
  return { dropped, redis.call('XLEN', KEYS[1]), '' }
end
for _, group in ipairs(groups) do
  local needed
  if field(group, 'pending') > 0 then
    needed = redis.call('XPENDING', KEYS[1], field(group, 'name'))[2]
  else
    local ms, count = string.match(field(group, 'last-delivered-id'), '^(%d+)%-(%d+)$')
    needed = ms .. '-' .. string.format('%.0f', tonumber(count) + 1)
  end
  if not lowest or compare(needed, lowest) < 0 then lowest, lagging = needed, field(group, 'name') end
end
local oldest = string.format('%.0f-0', now_ms() - tonumber(ARGV[2]))
if tonumber(ARGV[2]) > 0 and compare(oldest, lowest) < 0 then lowest = oldest end
local dropped = redis.call('XTRIM', KEYS[1], 'MINID', lowest)
trim_beside(KEYS[1])
local left = redis.call('XLEN', KEYS[1])
return { dropped, left, left > 0 and lagging or '' }
