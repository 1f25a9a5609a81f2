-- Make a consumer powerless, then lend what it held to another one.
-- KEYS: members, beats, streams of the group
-- ARGV: group, new holder, old holder, how often an entry was lent that comes alone, at most
-- Returns 0 when the new holder is fenced itself, else claimed entries (stream, id, lent before,
-- fields), how many were pending but gone from their stream, and whether it stopped at one that
-- comes alone.
local group, holder, old = ARGV[1], ARGV[2], ARGV[3]
local alone_from, left = tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('HEXISTS', KEYS[1], holder) == 0 then return 0 end
redis.call('HDEL', KEYS[1], old)
redis.call('HDEL', KEYS[2], old)
local claimed, gone, has_stopped = {}, 0, 0
for i = 3, #KEYS do
  local pending = redis.pcall('XPENDING', KEYS[i], group, '-', '+', math.max(left, 1), old)
  if not pending['err'] then
    for n = 1, math.min(#pending, left) do
      local id, lent = pending[n][1], pending[n][4]
      if lent >= alone_from then
        has_stopped = 1
        if #claimed > 0 then break end
      end
      local entry = redis.call('XCLAIM', KEYS[i], group, holder, 0, id)[1]
      if entry and entry[2] then
        claimed[#claimed + 1] = { i - 2, id, lent, entry[2] }
        left = left - 1
      else
        redis.call('XACK', KEYS[i], group, id)
        gone, has_stopped = gone + 1, 0
      end
      if has_stopped == 1 then break end
    end
    if #pending == 0 and old ~= 'returned' then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[i], group, old)
    end
  end
  if has_stopped == 1 then break end
end
return { claimed, gone, has_stopped }
