-- Hand an envelope to one group and drop its dead letter.
-- KEYS: dead letters, stream of the group's retries, state of the group, floors, mark of this call
-- ARGV: id of the dead letter, header, payload, channel, group, key of the message's history in
--       the state, the history or ''
-- Returns 1, also to the same call again; 0 when the letter is gone; -1 when the group is.
local stored = redis.call('HGET', KEYS[3], ARGV[6])
local floor = tonumber(redis.call('HGET', KEYS[4], ARGV[5]) or 0)
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return redis.call('EXISTS', KEYS[5]) end
if not add(KEYS[2], ARGV[2], ARGV[3]) then return -1 end
redis.call('XDEL', KEYS[1], ARGV[1])
mark(KEYS[5])
if ARGV[7] ~= '' then
  local version = stored and tonumber(string.match(stored, '^(%d+):')) or floor
  redis.call('HSET', KEYS[3], ARGV[6], (version + 1) .. ':' .. ARGV[7])
end
redis.call('PUBLISH', ARGV[4], '')
return 1
