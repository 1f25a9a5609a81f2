-- Lend what nobody was lent yet, unless the consumer is fenced: a zombie that woke with a read in
-- its hands would take entries from between those of whoever leads now.
-- KEYS: members, streams
-- ARGV: group, incarnation, at most of each stream
-- Returns 0 when this consumer is fenced, else what XREADGROUP answers.
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return 0 end
local command = { 'XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS' }
for i = 2, #KEYS do command[6 + i] = KEYS[i] end
for _ = 2, #KEYS do command[#command + 1] = '>' end
return redis.call(unpack(command)) or {}
