-- Make a consumer powerless, then lend what it held to another one.
-- KEYS: members, beats, streams of the group
-- ARGV: group, new holder, old holder, at most
-- Returns 0 when the new holder is fenced itself, else claimed entries (stream, id, lent before,
-- fields), and how many were pending but gone from their stream.
local group, holder, old, left = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('HEXISTS', KEYS[1], holder) == 0 then return 0 end
redis.call('HDEL', KEYS[1], old)
redis.call('HDEL', KEYS[2], old)
local claimed, gone = {}, 0
for i = 3, #KEYS do
  local pending = redis.pcall('XPENDING', KEYS[i], group, '-', '+', math.max(left, 1), old)
  if not pending['err'] then
    for n = 1, math.min(#pending, left) do
      local id, lent = pending[n][1], pending[n][4]
      local entry = redis.call('XCLAIM', KEYS[i], group, holder, 0, id)[1]
      if entry and entry[2] then
        claimed[#claimed + 1] = { i - 2, id, lent, entry[2] }
        left = left - 1
      else
        redis.call('XACK', KEYS[i], group, id)
        gone = gone + 1
      end
    end
    if #pending == 0 and old ~= 'returned' then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[i], group, old)
    end
  end
end
return { claimed, gone }
