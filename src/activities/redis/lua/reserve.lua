-- Reserves a message id and gives the message its sequence number, in one step.
--
-- KEYS[1] msg:{msg_id}                hash, see message-states.ts
-- KEYS[2] seq:{type}:{conversation}   hash: n last number given, ceil highest it may give,
--                                     gen generation it belongs to, nonce of its installation
-- KEYS[3] inbox:count:{user}          messages that wait for the recipient (any key for a group)
-- KEYS[4] im:doubt_until              unix ms; until then an id that is not here may have been forgotten
-- ARGV[1] digest of the payload       ARGV[2] owner (unique to this attempt)
-- ARGV[3] lease, ms                   ARGV[4] generation of this Redis
-- ARGV[5] nonce for a new counter     ARGV[6] time to live, s
-- ARGV[7] sender                      ARGV[8] {type}:{conversation}
--
-- Returns {kind, ...}:
--   {'new', number, left below the ceiling, waiting or false, doubt}   reserved, ours; doubt is 1
--                 when the id may have been used before Redis lost its memory
--   {'again', number, state, waited}   answered before; waited is '1' if the answer was "offline"
--   {'busy'}      another attempt holds the lease
--   {'conflict'}  same id, other payload
--   {'ceiling', nonce}   the counter needs a block; nothing was reserved
--   {'stale'}     this connection's generation is over
local msg = redis.call('HMGET', KEYS[1], 'digest', 'state', 'seq', 'lease', 'waited')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = msg[3]

if msg[1] then
  if msg[1] ~= ARGV[1] then return { 'conflict' } end
  if msg[2] ~= 'routing' and msg[2] ~= 'failed' then
    return { 'again', number, msg[2], msg[5] }
  end
  if msg[2] == 'routing' and tonumber(msg[4]) > now then return { 'busy' } end
end

local doubt = 0
if not msg[1] then
  local doubt_until = redis.call('GET', KEYS[4])
  if not doubt_until then
    -- Somebody emptied this Redis: whatever ids it held are forgotten.
    doubt_until = now + ARGV[6] * 1000
    redis.call('SET', KEYS[4], string.format('%d', doubt_until))
  end
  if now < tonumber(doubt_until) then doubt = 1 end
end

local left = -1
if not number then
  local seq = redis.call('HMGET', KEYS[2], 'n', 'ceil', 'gen', 'nonce')
  if seq[3] and tonumber(seq[3]) > tonumber(ARGV[4]) then return { 'stale' } end
  if seq[3] ~= ARGV[4] then
    -- Missing, or of an earlier life: what it remembers is not believed.
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'gen', ARGV[4], 'nonce', ARGV[5])
    return { 'ceiling', ARGV[5] }
  end
  if not seq[1] or tonumber(seq[1]) >= tonumber(seq[2]) then return { 'ceiling', seq[4] } end
  number = redis.call('HINCRBY', KEYS[2], 'n', 1)
  left = tonumber(seq[2]) - number
end

redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'state', 'routing', 'seq', number,
  'owner', ARGV[2], 'lease', now + tonumber(ARGV[3]), 'sender', ARGV[7], 'conv', ARGV[8])
redis.call('EXPIRE', KEYS[1], ARGV[6])
return { 'new', number, left, redis.call('GET', KEYS[3]), doubt }
