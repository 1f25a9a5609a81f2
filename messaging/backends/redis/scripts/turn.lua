-- Queue for the turn at some keys of a group's state, or leave the queues; see common.lua.
-- KEYS: members, turns
-- ARGV: name of the members, incarnation, prefix, take or end, id of the message, keys
-- Returns -1 when this consumer is fenced; to a take whether it is its turn at all of the keys.
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return -1 end
local me, prefix = ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[5], ARGV[3]
local queues, is_in_all, has_come = {}, true, 1
for i = 6, #ARGV do
  local queue, since = queue_at(KEYS[2], ARGV[i], prefix)
  local is_in = false
  for _, name in ipairs(queue) do is_in = is_in or name == me end
  is_in_all = is_in_all and is_in
  queues[i] = { queue, since }
end
for i = 6, #ARGV do
  local queue, since = queues[i][1], queues[i][2]
  if ARGV[4] == 'end' or not is_in_all then queue, since = without(queue, since, me) end
  if ARGV[4] == 'take' then
    -- In all of them at once: so those that queue for several never wait in a circle.
    if not is_in_all then queue[#queue + 1] = me end
    if queue[1] ~= me then has_come = 0 end
  end
  keep_queue(KEYS[2], ARGV[i], queue, since)
end
return has_come
