-- A page of the keys of a group's state; the values, which may be long, stay here.
-- KEYS: state
-- ARGV: cursor, about how many
-- Returns the next cursor, then key, version and length of each value.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = {}
for i = 1, #page[2], 2 do
  local version = string.match(page[2][i + 1], '^(%d+):')
  found[#found + 1] = { page[2][i], version, #page[2][i + 1] - #version - 1 }
end
return { page[1], found }
