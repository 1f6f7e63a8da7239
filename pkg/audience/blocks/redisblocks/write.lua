-- Changes one block. KEYS[1]: its hash. ARGV: lease number, random value and version, 20 digits each; "1" to replace the whole
-- hash; how many fields to delete, and their names; then names and values to set.
-- Returns 0: done; 1: the block was last written under a higher lease number; 2: under the same epoch with a higher version.
local key, number, random, version = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local function mark(n, r, v)
  return n .. '.' .. r .. '.' .. v .. '.' .. redis.sha1hex(key .. n .. r .. v)
end

local kind = redis.call('TYPE', key)['ok']
if kind == 'hash' then
  -- A mark that does not pass its own checksum was not left by a writer, and stops nobody.
  local was = redis.call('HGET', key, 'w')
  local n, r, v = string.match(was or '', '^(%d+)%.(%d+)%.(%d+)%.')
  if n and #n == 20 and was == mark(n, r, v) then
    if n > number then return 1 end
    if n == number and r == random and v > version then return 2 end
  end
elseif kind ~= 'none' then
  redis.call('DEL', key)
end

if ARGV[4] == '1' then redis.call('DEL', key) end

-- Lua's stack bounds the arguments of one call.
local function each(command, first, last)
  for from = first, last, 2000 do
    redis.call(command, key, unpack(ARGV, from, math.min(from + 1999, last)))
  end
end
local deletes = tonumber(ARGV[5])
if deletes > 0 then each('HDEL', 6, 5 + deletes) end
each('HSET', 6 + deletes, #ARGV)
redis.call('HSET', key, 'w', mark(number, random, version))
return 0
