-- Bring an ephemeral topic into being, or let it live on.
-- KEYS: stream, bound
-- ARGV: milliseconds to live, most entries
create_stream(KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[1])
return 1
