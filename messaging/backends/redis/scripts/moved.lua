-- Which streams do not end where they did. One read of all of them finds those with more; only
-- these are looked at one by one.
-- KEYS: streams
-- ARGV: the last id of each, "" where it is not known
-- Returns (stream, last id) of those that moved, or whose last id was not known; the id is "" where
-- there is no stream.
local found, command, ids, is_asked = {}, { 'XREAD', 'COUNT', 1, 'STREAMS' }, {}, {}
local function look(i)
  local info = redis.pcall('XINFO', 'STREAM', KEYS[i])
  found[#found + 1] = { i, info['err'] and '' or field(info, 'last-generated-id') }
end
local is_whole = redis.call('EXISTS', unpack(KEYS)) == #KEYS
for i = 1, #KEYS do
  if ARGV[i] == '' or not is_whole and redis.call('EXISTS', KEYS[i]) == 0 then
    look(i)
  else
    command[#command + 1] = KEYS[i]
    ids[#ids + 1] = ARGV[i]
    is_asked[KEYS[i]] = i
  end
end
if #ids == 0 then return found end
for _, id in ipairs(ids) do command[#command + 1] = id end
local reply = redis.pcall(unpack(command))
if reply and reply['err'] then -- one of the keys holds something else; who reads it is told
  for _, i in pairs(is_asked) do look(i) end
else
  for _, pair in ipairs(reply or {}) do look(is_asked[pair[1]]) end
end
return found
