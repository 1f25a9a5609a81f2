-- Count one beat of each of some consumers, and look who else is there.
-- KEYS: for each consumer its members, its beats, some streams of its group
-- ARGV: for each consumer its group, its incarnation, how many streams
-- Returns for each consumer: 0 when it is fenced, -1 when its keys hold something else, else beats as
-- a flat list, then orphans, then how much of each stream is lent to this consumer (-1 where the
-- group is not there), then whether something was given back; of a consumer that is alone, with
-- nothing in any of the streams, only its beats.
local answers, at = {}, 1
local function beat(group, me, first, last)
  local is_member = redis.pcall('HEXISTS', KEYS[at], me)
  if is_member == 0 then return 0 end
  local beats = is_member == 1 and redis.pcall('HINCRBY', KEYS[at + 1], me, 1)
  if type(beats) ~= 'number' then return -1 end
  local orphans, seen, lent, is_quiet = {}, { returned = true }, {}, true
  local has_returned = 0
  for i = first, last do
    local summary = redis.pcall('XPENDING', KEYS[i], group)
    local count = summary['err'] and -1 or 0
    for _, pair in ipairs(not summary['err'] and summary[4] or {}) do
      local name = pair[1]
      if name == 'returned' then has_returned = 1 end
      if name == me then count = tonumber(pair[2]) end
      if not seen[name] and redis.call('HEXISTS', KEYS[at], name) == 0 then
        orphans[#orphans + 1] = name
      end
      seen[name] = true
      is_quiet = false
    end
    lent[i - first + 1] = count
    is_quiet = is_quiet and count == 0
  end
  local all = redis.call('HGETALL', KEYS[at + 1])
  if is_quiet and #all == 2 then return beats end
  return { all, orphans, lent, has_returned }
end
for n = 1, #ARGV, 3 do
  local last = at + 1 + tonumber(ARGV[n + 2])
  answers[#answers + 1] = beat(ARGV[n], ARGV[n + 1], at + 2, last)
  at = last + 1
end
return answers
