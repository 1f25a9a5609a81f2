-- What changed in the registry since a version.
-- KEYS: registry, topics, groups, stamps of the groups, groups by the version that they were
--       subscribed at
-- ARGV: version and identity known so far
-- Returns identity ("" when there is no registry), version, whether topics holds all, topics,
-- whether groups and stamps hold all, groups and stamps as flat lists.
-- Each change has a version of its own. Where topics and subscriptions account for all of them, the
-- groups of those subscriptions are all that changed. An older process does not say which group
-- it subscribed; that version is then missing, and all groups are shown.
local identity = redis.call('HGET', KEYS[1], 'id') or ''
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
local removed = tonumber(redis.call('HGET', KEYS[1], 'removed') or 0)
local known = tonumber(ARGV[1])
local all = identity ~= ARGV[2] or removed > known or version < known
local function with_all_groups(all_topics, topics)
  local stamps = redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES')
  return { identity, version, all_topics, topics, 1, redis.call('HGETALL', KEYS[3]), stamps }
end
if all then return with_all_groups(1, redis.call('ZRANGE', KEYS[2], 0, -1)) end
local seen, accounted, topics, groups, stamps = {}, 0, {}, {}, {}
local function account(score)
  if not seen[score] then seen[score], accounted = true, accounted + 1 end
end
local came = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. known, '+inf', 'WITHSCORES')
for i = 1, #came, 2 do
  topics[#topics + 1] = came[i]
  -- A group's own topic comes with the group, and says nothing about its patterns.
  if string.sub(came[i], 1, 7) ~= '_retry.' then account(came[i + 1]) end
end
local regrouped = redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. known, '+inf', 'WITHSCORES')
for i = 1, #regrouped, 2 do account(regrouped[i + 1]) end
if accounted ~= version - known then return with_all_groups(0, topics) end
for i = 1, #regrouped, 2 do
  local patterns = redis.call('HGET', KEYS[3], regrouped[i])
  if patterns then
    groups[#groups + 1] = regrouped[i]
    groups[#groups + 1] = patterns
    stamps[#stamps + 1] = regrouped[i]
    stamps[#stamps + 1] = redis.call('ZSCORE', KEYS[4], regrouped[i]) or '1'
  end
end
return { identity, version, 0, topics, 0, groups, stamps }
