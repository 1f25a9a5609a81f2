-- Store a producer's next items on one topic, each once, all or none.
-- KEYS: stream, producer, delays, delayed bodies, topics
-- ARGV: first sequence, hard limit, seconds the producer is remembered, channel, topic,
--       delays as "item:milliseconds,", sequence that the producer has reached then,
--       then header and payload of each item
-- Returns how many entries the stream holds afterwards; -1 no such stream, -2 full,
--         -3 an earlier batch is missing (refused, or forgotten since), -4 too many delayed.
local stream, producer = KEYS[1], KEYS[2]
local first, count = tonumber(ARGV[1]), (#ARGV - 7) / 2

local length = redis.call('XLEN', stream)
if length == 0 and redis.call('EXISTS', stream) == 0 then return -1 end

local last = tonumber(redis.call('HGET', producer, stream) or 0)
if first > last + 1 then return -3 end
local skip = last + 1 - first
if skip >= count then return length end
local limit, delayed, delays = tonumber(ARGV[2]), 0, nil
if ARGV[6] ~= '' then
  delays = {}
  for item, ms in string.gmatch(ARGV[6], '(%d+):(%d+)') do
    delays[tonumber(item)] = ms
    if tonumber(item) > skip then delayed = delayed + 1 end
  end
  if redis.call('ZCARD', KEYS[3]) + delayed > limit then return -4 end
end
local immediate = count - skip - delayed
if immediate > 0 and length + immediate > limit then return -2 end

for i = skip + 1, count do expect_beside(stream, ARGV[7 + 2 * i]) end
redis.call('HSET', producer, stream, ARGV[7])
redis.call('EXPIRE', producer, ARGV[3])
local last_added = ''
for i = skip + 1, count do
  local header, payload = ARGV[6 + 2 * i], ARGV[7 + 2 * i]
  if delays and delays[i] then
    delay(KEYS[3], KEYS[4], KEYS[5], delays[i], ARGV[5], header, payload)
  else
    last_added = add(stream, header, payload)
  end
end
redis.call('PUBLISH', ARGV[4], last_added)
return length + immediate
