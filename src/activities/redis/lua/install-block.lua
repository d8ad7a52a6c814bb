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
  local seq = redis.pcall('HMGET', key, 'gen', 'nonce', 'n', 'ceil')
  if seq.err then return seq.err end
  if seq[1] ~= generation or seq[2] ~= nonce then return 0 end
  local reply = 0
  if not seq[3] or tonumber(floor) > tonumber(seq[4]) then
    reply = redis.pcall('HSET', key, 'n', floor, 'ceil', ceiling)
  elseif tonumber(ceiling) > tonumber(seq[4]) then
    reply = redis.pcall('HSET', key, 'ceil', ceiling)
  end
  return type(reply) == 'table' and reply.err or 1
end

local replies = {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 4
  replies[i] = install(key, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
end
return replies
