-- Move delayed entries whose time has come to their topics.
-- KEYS: delays, delayed bodies, topics
-- ARGV: at most, stream prefix, channel prefix
-- Returns milliseconds until the next is due (-1: none waits), topics to be created first, and
-- keys that hold something else; what is due there is looked at again in a second.
if redis.call('EXISTS', KEYS[1]) == 0 then return { -1, {}, {} } end
local now, missing, touched, odd = steady_ms(KEYS[2]), {}, {}, {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local body = redis.call('HGET', KEYS[2], id) or cmsgpack.pack({ '_gone', '', '', '?' })
  local topic, header, payload, born = unpack(cmsgpack.unpack(body))
  local is_ours_alone = string.sub(topic, 1, 1) == '_'
  local is_wanted = not is_ours_alone or (redis.call('ZSCORE', KEYS[3], topic) or '') == born
  local stream = ARGV[2] .. topic
  local kind = type_of(stream)
  local is_odd = is_wanted and kind ~= 'stream' and kind ~= 'none'
  local is_stored = is_wanted and not is_odd and add(stream, header, payload)
  if is_stored then touched[topic] = true end
  if is_odd then
    odd[#odd + 1] = stream
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + 1000), id)
  elseif is_stored or is_ours_alone then
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
  else
    missing[#missing + 1] = topic
  end
end
for topic in pairs(touched) do redis.call('PUBLISH', ARGV[3] .. topic, '') end
local next_due = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return { next_due and math.max(0, tonumber(next_due) - now) or -1, missing, odd }
