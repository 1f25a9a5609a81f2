-- Drop what every group of a stream has settled; a stream without groups keeps its last entries.
-- KEYS: streams
-- ARGV: entries kept where there is no group, milliseconds for which settled ones are kept
-- Returns for each stream that held something how many were dropped, how many are left, and the
-- group that needs the oldest of those; then the keys that hold something else.
local function trim(stream)
  local groups, lowest, lagging = redis.call('XINFO', 'GROUPS', stream), nil, ''
  if #groups == 0 then
    local dropped = redis.call('XTRIM', stream, 'MAXLEN', ARGV[1])
    trim_beside(stream)
    return dropped, redis.call('XLEN', stream), ''
  end
  for _, group in ipairs(groups) do
    local needed
    if field(group, 'pending') > 0 then
      needed = redis.call('XPENDING', stream, field(group, 'name'))[2]
    else
      local ms, count = string.match(field(group, 'last-delivered-id'), '^(%d+)%-(%d+)$')
      needed = ms .. '-' .. string.format('%.0f', tonumber(count) + 1)
    end
    if not lowest or compare(needed, lowest) < 0 then lowest, lagging = needed, field(group, 'name') end
  end
  local oldest = string.format('%.0f-0', now_ms() - tonumber(ARGV[2]))
  if tonumber(ARGV[2]) > 0 and compare(oldest, lowest) < 0 then lowest = oldest end
  local dropped = redis.call('XTRIM', stream, 'MINID', lowest)
  trim_beside(stream)
  local left = redis.call('XLEN', stream)
  return dropped, left, left > 0 and lagging or ''
end
local trimmed, odd = {}, {}
for i, stream in ipairs(KEYS) do
  local length = redis.pcall('XLEN', stream)
  if type(length) == 'table' then
    odd[#odd + 1] = stream
  elseif length > 0 then
    trimmed[#trimmed + 1] = { trim(stream) }
  else
    trim_beside(stream)
  end
end
return { trimmed, odd }
