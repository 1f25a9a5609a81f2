-- Forget a dead letter.
-- KEYS: dead letters, floors, mark of this call
-- ARGV: id, prefix of the keys that hold the groups' states
-- Returns 1, also to the same call again; 0 when it was gone already.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return redis.call('EXISTS', KEYS[3]) end
drop_letter(KEYS[1], KEYS[2], ARGV[2], letter)
mark(KEYS[3])
return 1
