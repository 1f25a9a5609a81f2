-- Shared by every script: put in front of it when it is loaded.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The server's clock as long as nobody sets it back: what waits for a second must not wait for the
-- hour that the clock then lacks. Looked at each second, and kept with the bodies of what waits.
local function steady_ms(bodies)
  local kept = redis.call('HMGET', bodies, 'seen', 'ahead')
  local seen, now = tonumber(kept[1] or 0), now_ms() + tonumber(kept[2] or 0)
  if now < seen then
    redis.call('HINCRBY', bodies, 'ahead', string.format('%.0f', seen - now))
    return seen
  end
  if now >= seen + 1000 then redis.call('HSET', bodies, 'seen', string.format('%.0f', now)) end
  return now
end

-- The version of the registry, if it still is what "identity version" says.
local function version_if_still(registry, known)
  local id, version = unpack(redis.call('HMGET', registry, 'id', 'version'))
  version = version or '0'
  return (id or '') .. ' ' .. version == known and tonumber(version) or nil
end

-- When a group was subscribed or unsubscribed last (then its score is below zero), 0 if unknown.
local function stamp_of(stamps, group)
  return math.abs(tonumber(redis.call('ZSCORE', stamps, group) or 0))
end

local function next_stamp(stamps, group)
  return math.max(now_ms(), stamp_of(stamps, group) + 1)
end

local function type_of(key)
  return redis.call('TYPE', key)['ok']
end

-- Hold an entry back; members count up, so that equal due times keep their order. The version
-- that brought the topic goes along: retries of a group that was unsubscribed since are dropped.
local function delay(delays, bodies, topics, delay_ms, topic, header, payload)
  local id = string.format('%016d', redis.call('HINCRBY', bodies, 'next', 1))
  local born = redis.call('ZSCORE', topics, topic) or ''
  redis.call('HSET', bodies, id, cmsgpack.pack({ topic, header, payload, born }))
  redis.call('ZADD', delays, string.format('%.0f', steady_ms(bodies) + tonumber(delay_ms)), id)
end

-- A field of one of XINFO's flat replies.
local function field(flat, name)
  for i = 1, #flat, 2 do
    if flat[i] == name then return flat[i + 1] end
  end
  return nil
end

-- The group of a stream as XINFO shows it, nil when there is none.
local function find_group(stream, group)
  if redis.call('EXISTS', stream) == 0 then return nil end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if field(flat, 'name') == group then return flat end
  end
  return nil
end

-- Add an entry to a stream that is there. A long payload goes beside it, under the same position.
local CLAIMED_FROM = 65536
local function add(stream, header, payload)
  if #payload <= CLAIMED_FROM then
    return redis.call('XADD', stream, 'NOMKSTREAM', '*', 'h', header, 'p', payload)
  end
  local id = redis.call('XADD', stream, 'NOMKSTREAM', '*', 'h', header, 'c', #payload)
  if id then redis.call('XADD', stream .. '!', id, 'p', payload) end
  return id
end

-- In a cluster a key that was not declared may have left with its slot: fail before any write.
local function expect_beside(stream, payload)
  if #payload > CLAIMED_FROM then redis.call('EXISTS', stream .. '!') end
end

-- Drop the payloads of entries that are there no more.
local function trim_beside(stream)
  if redis.call('EXISTS', stream .. '!') == 0 then return end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if first then
    redis.call('XTRIM', stream .. '!', 'MINID', first[1])
  else
    redis.call('DEL', stream .. '!')
  end
end

-- A stream that is made anew starts at positions of its own, with nothing beside it.
local function forget_beside(stream)
  if redis.call('EXISTS', stream) == 0 then redis.call('DEL', stream .. '!') end
end

-- Whether a topic of the bus is one that a group owns, and not an ephemeral one.
local function is_private(topic)
  return string.sub(topic, 1, 7) == '_retry.' or string.sub(topic, 1, 11) == '_partition.'
end

-- Create a group, or leave the one that is there; whether it was created.
local function create_group(stream, group, from)
  forget_beside(stream)
  local reply = redis.pcall('XGROUP', 'CREATE', stream, group, from, 'MKSTREAM')
  if type(reply) == 'table' and reply['err'] then
    if string.find(reply['err'], 'BUSYGROUP', 1, true) then return false end
    error(reply['err'])
  end
  return true
end

-- An empty stream without groups; only a group can bring one into being.
local function create_stream(stream)
  if redis.call('EXISTS', stream) == 1 then return end
  forget_beside(stream)
  redis.call('XGROUP', 'CREATE', stream, 'making', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', stream, 'making')
end

-- Remember, for as long as a call may be repeated, that it did what it was to do.
local function mark(call)
  redis.call('HSET', call, 'done', 1)
  redis.call('EXPIRE', call, 3600)
end

-- Forget a dead letter, and the steps of its message that its group has journalled.
local function drop_letter(dead, floors, state_prefix, letter)
  local group = field(letter[2], 'g') or '' -- a stranger's has none
  local state, key = state_prefix .. group, '_bus.steps.' .. (field(letter[2], 'i') or '')
  local stored = redis.call('HGET', state, key)
  if stored then
    local version = tonumber(string.match(stored, '^(%d+):'))
    local floor = tonumber(redis.call('HGET', floors, group) or 0)
    redis.call('HSET', floors, group, math.max(floor, version))
    redis.call('HDEL', state, key)
  end
  redis.call('XDEL', dead, letter[1])
end

-- Whose turn it is at a key of a group's state, then who waits for it, as "members incarnation
-- message", and since when. Stored one a line. Who is gone is left out, and so is who has had it for too long.
local TURN_MS = 300000
local function queue_at(turns, key, prefix)
  local stored = redis.call('HGET', turns, key)
  if not stored then return {} end
  local now, queue = now_ms(), {}
  local since, names = string.match(stored, '^(%d+)(.*)$')
  local first = string.match(names, '[^\n]+')
  for name in string.gmatch(names, '[^\n]+') do
    local members, incarnation = string.match(name, '^(%S+) (%S+) %S+$')
    if redis.call('HEXISTS', prefix .. 'c:' .. members, incarnation) == 1 then queue[#queue + 1] = name end
  end
  since = tonumber(since)
  if now < since or now - since > TURN_MS then
    if queue[1] == first then table.remove(queue, 1) end
    since = now
  elseif queue[1] ~= first then
    since = now
  end
  return queue, since
end

local function keep_queue(turns, key, queue, since)
  if #queue == 0 then return redis.call('HDEL', turns, key) end
  redis.call('HSET', turns, key, string.format('%.0f', since or now_ms()) .. '\n' .. table.concat(queue, '\n'))
end

-- The queue without `me`, and since when it is the turn of its first.
local function without(queue, since, me)
  local left = {}
  for _, name in ipairs(queue) do
    if name ~= me then left[#left + 1] = name end
  end
  return left, queue[1] ~= me and since or nil
end

local function compare(one, other)
  local a, b = string.match(one, '^(%d+)%-?(%d*)$')
  local c, d = string.match(other, '^(%d+)%-?(%d*)$')
  a, b, c, d = tonumber(a), tonumber(b) or 0, tonumber(c), tonumber(d) or 0
  if a ~= c then return a < c and -1 or 1 end
  if b ~= d then return b < d and -1 or 1 end
  return 0
end

-- The position of a stream's last entry, "0-0" without one.
local function last_of(stream)
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end

-- Publish what was added behind `before`, itself if it is small; see notification.py.
local function show(channel, before, added)
  local parts, size = { before, '\n' }, 0
  for i = 1, #added, 3 do
    local id, header, payload = added[i], added[i + 1], added[i + 2]
    size = size + #header + #payload
    if size > 8192 then return redis.call('PUBLISH', channel, '') end
    parts[#parts + 1] = id .. ' ' .. #header .. ' ' .. #payload .. '\n'
    parts[#parts + 1] = header
    parts[#parts + 1] = payload
  end
  redis.call('PUBLISH', channel, table.concat(parts))
end
