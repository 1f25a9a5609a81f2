-- Move delayed entries whose time has come to their topics.
-- KEYS: delays, delayed bodies, topics
-- ARGV: at most, stream prefix, channel prefix
-- Returns milliseconds until the next is due (-1: none waits), and topics to be created first.
local now, missing, touched = now_ms(), {}, {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local body = redis.call('HGET', KEYS[2], id) or cmsgpack.pack({ '_gone', '', '', '?' })
  local topic, header, payload, born = unpack(cmsgpack.unpack(body))
  local is_ours_alone = string.sub(topic, 1, 1) == '_'
  local is_wanted = not is_ours_alone or (redis.call('ZSCORE', KEYS[3], topic) or '') == born
  local is_stored = is_wanted and add(ARGV[2] .. topic, header, payload)
  if is_stored then touched[topic] = true end
  if is_stored or is_ours_alone then
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
  else
    missing[#missing + 1] = topic
  end
end
for topic in pairs(touched) do redis.call('PUBLISH', ARGV[3] .. topic, '') end
local next_due = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return { next_due and math.max(0, tonumber(next_due) - now) or -1, missing }
