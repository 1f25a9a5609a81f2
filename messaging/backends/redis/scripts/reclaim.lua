-- Lend once more what an answer carried that never arrived. Without the fence, a zombie would
-- steal back what has been claimed from it, and then two could settle it.
-- KEYS: members, stream
-- ARGV: group, incarnation, id, how often it was lent
-- Returns 0 when this consumer is fenced, 1 when the entry is gone from its stream, else its fields.
local group, me, id = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HEXISTS', KEYS[1], me) == 0 then return 0 end
local entry = redis.call('XCLAIM', KEYS[2], group, me, 0, id, 'RETRYCOUNT', ARGV[4])[1]
if entry and entry[2] then return entry[2] end
redis.call('XACK', KEYS[2], group, id)
return 1
