-- Gives counters blocks of numbers that MySQL reserved for them.
--
-- For each counter:
-- KEYS[1] seq:{type}:{conversation}
-- ARGV[1] generation   ARGV[2] nonce the counter had before the block was reserved
-- ARGV[3] floor        ARGV[4] ceiling
--
-- The nonce proves that the counter is the one that asked: had Redis been wiped since, a block that
-- came late could lead back below numbers that a newer counter gave.
-- A live counter's ceiling is raised alone only for the block that begins where it ends. What lies
-- before a later block was reserved by another process, perhaps for a counter in another Redis that is
-- alive too (a failover not everybody has noticed): it is left out.
-- Returns for each 1 when the block was taken, 0 when not, or the text of an error.
local function install(key, generation, nonce, floor, ceiling)
  local counter = redis.pcall('GET', key)
  if type(counter) == 'table' then return counter.err end
  if not counter then return 0 end
  local gen, its_nonce, n, ceil = string.match(counter, '^(%d+) (%S+) (%d*) (%d*)$')
  if gen ~= generation or its_nonce ~= nonce then return 0 end
  if n == '' or tonumber(floor) > tonumber(ceil) then
    n, ceil = floor, ceiling
  elseif tonumber(ceiling) > tonumber(ceil) then
    ceil = ceiling
  end
  local written = redis.pcall('SET', key, table.concat({ gen, nonce, n, ceil }, ' '))
  return written.err or 1
end

local replies = {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 4
  replies[i] = install(key, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
end
return replies
