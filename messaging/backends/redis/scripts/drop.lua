-- Forget a dead letter.
-- KEYS: dead letters, floors
-- ARGV: id, prefix of the keys that hold the groups' states
-- Returns 1; 0 when it was gone already.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
drop_letter(KEYS[1], KEYS[2], ARGV[2], letter)
return 1
