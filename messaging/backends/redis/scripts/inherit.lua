-- Lend what nobody who counts holds, the oldest of each stream first.
-- KEYS: members, streams of the group
-- ARGV: group, new holder, at most
-- Returns 0 when the new holder is fenced, else claimed entries (stream, id, lent before, fields),
-- how many were pending but gone from their stream, and 0.
local group, holder, left = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HEXISTS', KEYS[1], holder) == 0 then return 0 end
local claimed, gone, page = {}, 0, 100
local counts = {}
local function is_gone(name)
  if counts[name] == nil then counts[name] = redis.call('HEXISTS', KEYS[1], name) end
  return counts[name] == 0
end
for i = 2, #KEYS do
  local from = '-'
  while from and left > 0 do
    local pending = redis.pcall('XPENDING', KEYS[i], group, from, '+', page)
    if pending['err'] then break end
    for _, one in ipairs(pending) do
      if left > 0 and is_gone(one[2]) then
        local entry = redis.call('XCLAIM', KEYS[i], group, holder, 0, one[1])[1]
        if entry and entry[2] then
          claimed[#claimed + 1] = { i - 1, one[1], one[4], entry[2] }
          left = left - 1
        else
          redis.call('XACK', KEYS[i], group, one[1])
          gone = gone + 1
        end
      end
    end
    from = #pending == page and '(' .. pending[page][1] or nil
  end
end
return { claimed, gone, 0 }
