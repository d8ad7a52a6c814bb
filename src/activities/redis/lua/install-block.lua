-- Gives a counter a block of numbers that MySQL reserved for it.
--
-- KEYS[1] seq:{type}:{conversation}
-- ARGV[1] generation   ARGV[2] nonce the counter had before the block was reserved
-- ARGV[3] floor        ARGV[4] ceiling
--
-- The nonce proves that the counter is the one that asked: had Redis been wiped since, a block that
-- came late could lead back below numbers that a newer counter gave. Raising the ceiling of a live
-- counter is always safe: MySQL reserved everything up to it. Returns 1 when the block was taken.
local seq = redis.call('HMGET', KEYS[1], 'gen', 'nonce', 'n', 'ceil')
if seq[1] ~= ARGV[1] or seq[2] ~= ARGV[2] then return 0 end
if not seq[3] then
  redis.call('HSET', KEYS[1], 'n', ARGV[3], 'ceil', ARGV[4])
elseif tonumber(ARGV[4]) > tonumber(seq[4]) then
  redis.call('HSET', KEYS[1], 'ceil', ARGV[4])
end
return 1
