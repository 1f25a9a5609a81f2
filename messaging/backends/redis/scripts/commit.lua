-- Settle a batch in one step: fence, every precondition, then outputs, state, dead letters, receipts.
-- Neither Lua nor MULTI rolls back, so nothing is written before everything is known to fit.
-- KEYS: members, state, floors, delays, delayed bodies, dead letters, input streams, output streams
-- ARGV: prefix, group, incarnation, sequence, hard limit, most dead letters, number of input
--       streams, output streams, receipts, outputs, state writes, dead letters; then
--       output topics; receipts (settlement, key, id); outputs (settlement, key, delay, header,
--       payload); state writes (settlement, key, expected version, set or delete, value);
--       dead letters (settlement, topic, header, payload, reason, at, message id)
-- Returns {'ok', skipped settlements, dead letters trimmed}, or {what is wrong, with what}.
local prefix, group, incarnation, sequence = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local n_inputs, n_outputs = tonumber(ARGV[7]), tonumber(ARGV[8])
local n_receipts, n_adds = tonumber(ARGV[9]), tonumber(ARGV[10])
local n_writes, n_dead = tonumber(ARGV[11]), tonumber(ARGV[12])
local receipts_at = 13 + n_outputs
local adds_at = receipts_at + 3 * n_receipts
local writes_at = adds_at + 5 * n_adds
local dead_at = writes_at + 5 * n_writes

-- The fence.
local member = redis.call('HGET', KEYS[1], incarnation)
if not member then return { 'fenced' } end
local last, skipped_then = string.match(member, '^(%d+):?(.*)$')
last = tonumber(last)
if sequence == last then return { 'ok', skipped_then, 0 } end
if sequence < last then return { 'ok', '', 0 } end
if sequence > last + 1 then return { 'gap', last } end
if doubts then -- after a failover the server may have forgotten what it lent, and lent it again
  for at = receipts_at, adds_at - 1, 3 do
    local held = redis.pcall('XPENDING', KEYS[tonumber(ARGV[at + 1])], group, ARGV[at + 2], ARGV[at + 2], 1, incarnation)
    if not held[1] then return { 'unlent', ARGV[at + 2] } end
  end
end

-- Inputs and outputs are streams, and there is room.
for i = 7, 6 + n_inputs do
  local kind = type_of(KEYS[i])
  if kind ~= 'stream' and kind ~= 'none' then return { 'type', KEYS[i] } end
end
local adding, delayed = {}, 0
for at = adds_at, writes_at - 1, 5 do
  local key = tonumber(ARGV[at + 1])
  expect_beside(KEYS[key], ARGV[at + 4])
  if ARGV[at + 2] == '0' then adding[key] = (adding[key] or 0) + 1 else delayed = delayed + 1 end
end
local bounds = {}
for i = 1, n_outputs do
  local key, topic = 6 + n_inputs + i, ARGV[12 + i]
  local kind = type_of(KEYS[key])
  if kind ~= 'stream' and kind ~= 'none' then return { 'type', KEYS[key] } end
  if string.sub(topic, 1, 1) == '_' and not is_private(topic) then
    bounds[key] = kind == 'stream' and redis.call('GET', prefix .. 'e:' .. topic) or 'closed'
  elseif kind == 'none' then
    return { 'absent', topic }
  elseif adding[key] and redis.call('XLEN', KEYS[key]) + adding[key] > tonumber(ARGV[5]) then
    return { 'full', topic }
  end
end
for i = 2, 6 do
  local wanted = ({ [4] = 'zset', [6] = 'stream' })[i] or 'hash'
  local kind = type_of(KEYS[i])
  if kind ~= wanted and kind ~= 'none' then return { 'type', KEYS[i] } end
end

-- In a cluster this key may have left with its slot; then fail here, before anything is written.
if delayed > 0 then redis.call('EXISTS', prefix .. 'topics') end
if delayed > 0 and redis.call('ZCARD', KEYS[4]) + delayed > tonumber(ARGV[5]) then
  return { 'delays full', '' }
end

local turns, has_turns = prefix .. 'x:' .. group, false
local mine = string.sub(KEYS[1], #prefix + 3) .. ' ' .. incarnation .. ' '
if n_writes > 0 then
  local kind = type_of(turns)
  if kind ~= 'hash' and kind ~= 'none' then return { 'type', turns } end
  has_turns = kind == 'hash'
end
local function is_mine(name) return string.sub(name, 1, #mine) == mine end
local function is_anothers_turn(key)
  local first = has_turns and queue_at(turns, key, prefix)[1]
  return first and not is_mine(first)
end

-- State: a settlement whose expectations fail is left out as a whole. -1 expects nothing.
local skipped, skipped_list, versions, floor = {}, {}, {}, nil
local function version_of(key)
  if versions[key] then return versions[key] end
  local stored = redis.call('HGET', KEYS[2], key)
  return stored and tonumber(string.match(stored, '^(%d+):')) or 0
end
local at = writes_at
while at < dead_at do
  local settlement, tried, fits = ARGV[at], {}, true
  floor = floor or tonumber(redis.call('HGET', KEYS[3], group) or 0)
  local new_floor = floor
  while at < dead_at and ARGV[at] == settlement do
    local key = ARGV[at + 1]
    local version = tried[key] or version_of(key)
    local expected = tonumber(ARGV[at + 2])
    if expected >= 0 and version ~= expected then fits = false end
    if is_anothers_turn(key) then fits = false end
    if ARGV[at + 3] == 'set' then
      tried[key] = (version == 0 and new_floor or version) + 1
    else
      tried[key] = 0
      new_floor = math.max(new_floor, version)
    end
    at = at + 5
  end
  if fits then
    floor = new_floor
    for key, version in pairs(tried) do versions[key] = version end
  else
    skipped[settlement] = true
    skipped_list[#skipped_list + 1] = settlement
  end
end

-- From here on everything is written.
local skipped_now = table.concat(skipped_list, ',')
redis.call('HSET', KEYS[1], incarnation, sequence .. ':' .. skipped_now)

local touched, shown = {}, {}
for at = adds_at, writes_at - 1, 5 do
  local key = tonumber(ARGV[at + 1])
  local bound = bounds[key]
  if not skipped[ARGV[at]] and bound ~= 'closed' then
    local topic, header, payload = ARGV[12 + key - 6 - n_inputs], ARGV[at + 3], ARGV[at + 4]
    if ARGV[at + 2] ~= '0' then
      delay(KEYS[4], KEYS[5], prefix .. 'topics', ARGV[at + 2], topic, header, payload)
      touched[topic] = touched[topic] or ''
    elseif bound then
      local news = shown[topic] or { before = last_of(KEYS[key]), added = {} }
      local added = news.added
      added[#added + 1] =
        redis.call('XADD', KEYS[key], 'MAXLEN', '~', bound, '*', 'h', header, 'p', payload)
      added[#added + 1] = header
      added[#added + 1] = payload
      shown[topic], touched[topic] = news, ''
    else
      touched[topic] = add(KEYS[key], header, payload)
    end
  end
end
for topic, last_added in pairs(touched) do
  local channel, news = prefix .. 'w:' .. topic, shown[topic]
  if news then show(channel, news.before, news.added) else redis.call('PUBLISH', channel, last_added) end
end

for at = writes_at, dead_at - 1, 5 do
  local key = ARGV[at + 1]
  if not skipped[ARGV[at]] then
    if versions[key] == 0 then
      redis.call('HDEL', KEYS[2], key)
    elseif ARGV[at + 3] == 'set' then
      redis.call('HSET', KEYS[2], key, versions[key] .. ':' .. ARGV[at + 4])
    end
  end
end
if has_turns then -- used, also by what is left out: it queues anew, or all might wait for it
  for at = writes_at, dead_at - 1, 5 do
    local queue, since = queue_at(turns, ARGV[at + 1], prefix)
    if queue[1] and is_mine(queue[1]) then
      keep_queue(turns, ARGV[at + 1], without(queue, since, queue[1]))
    end
  end
end
if n_writes > 0 and floor > 0 then redis.call('HSET', KEYS[3], group, floor) end

local trimmed = 0
for at = dead_at, dead_at + 7 * n_dead - 1, 7 do
  if not skipped[ARGV[at]] then
    redis.call('XADD', KEYS[6], '*', 't', ARGV[at + 1], 'h', ARGV[at + 2], 'p', ARGV[at + 3],
      'g', group, 'r', ARGV[at + 4], 'at', ARGV[at + 5], 'i', ARGV[at + 6])
  end
end
if n_dead > 0 then
  local excess = redis.call('XLEN', KEYS[6]) - tonumber(ARGV[6])
  excess = math.min(excess, n_dead + 100) -- bit by bit, where the bound was lowered: they are long
  if excess > 0 then
    for _, letter in ipairs(redis.call('XRANGE', KEYS[6], '-', '+', 'COUNT', excess)) do
      drop_letter(KEYS[6], KEYS[3], prefix .. 's:', letter)
      trimmed = trimmed + 1
    end
  end
end

local receipts = {}
for at = receipts_at, adds_at - 1, 3 do
  if not skipped[ARGV[at]] then
    local key = tonumber(ARGV[at + 1])
    local ids = receipts[key]
    if not ids then ids = {}; receipts[key] = ids end
    ids[#ids + 1] = ARGV[at + 2]
  end
end
for key, ids in pairs(receipts) do
  for from = 1, #ids, 1000 do
    redis.call('XACK', KEYS[key], group, unpack(ids, from, math.min(from + 999, #ids)))
  end
end
return { 'ok', skipped_now, trimmed }
