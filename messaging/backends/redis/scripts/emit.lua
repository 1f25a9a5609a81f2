-- Append to an ephemeral topic if somebody opened it.
-- KEYS: stream, bound
-- ARGV: channel, then header and payload of each entry
local bound = redis.call('GET', KEYS[2])
if not bound or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local before, added = last_of(KEYS[1]), {}
for i = 2, #ARGV, 2 do
  added[#added + 1] =
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', bound, '*', 'h', ARGV[i], 'p', ARGV[i + 1])
  added[#added + 1] = ARGV[i]
  added[#added + 1] = ARGV[i + 1]
end
show(ARGV[1], before, added)
return 1
