-- Hand an envelope to one group and drop its dead letter.
-- KEYS: dead letters, stream of the group's retries
-- ARGV: id of the dead letter, header, payload, channel
-- Returns 1; 0 when the letter is gone; -1 when the group is.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
if not add(KEYS[2], ARGV[2], ARGV[3]) then return -1 end
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[4], '')
return 1
