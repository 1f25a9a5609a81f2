-- Bring topics into being, each with a group for everybody who is owed its first entry.
-- KEYS: registry, topics, streams
-- ARGV: registry the groups were chosen at, registry channel, then for each stream: topic, number
--       of groups, groups
-- Returns -1 when the registry has moved on, else for each stream: 1 when the topic had lost its
-- stream, 2 when its key holds something else, else 0.
local version = version_if_still(KEYS[1], ARGV[1])
if not version then return -1 end
local known, kinds = {}, {}
local at = 3
for i = 3, #KEYS do
  known[i], kinds[i] = redis.call('ZSCORE', KEYS[2], ARGV[at]), type_of(KEYS[i])
  at = at + 2 + tonumber(ARGV[at + 1])
end
local outcomes, has_changed = {}, false
at = 3
for i = 3, #KEYS do
  local topic, count = ARGV[at], tonumber(ARGV[at + 1])
  local is_odd = kinds[i] ~= 'stream' and kinds[i] ~= 'none'
  local is_there = known[i] and kinds[i] == 'stream'
  outcomes[i - 2] = is_odd and 2 or known[i] and not is_there and 1 or 0
  if not is_odd and not is_there then
    create_stream(KEYS[i])
    for n = 1, count do create_group(KEYS[i], ARGV[at + 1 + n], '0') end
    redis.call('ZADD', KEYS[2], version + 1, topic)
    has_changed = true
  end
  at = at + 2 + count
end
if has_changed then
  redis.call('HSETNX', KEYS[1], 'id', string.format('%.0f', now_ms()))
  redis.call('HSET', KEYS[1], 'version', version + 1)
  redis.call('PUBLISH', ARGV[2], '')
end
return outcomes
