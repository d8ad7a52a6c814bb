-- Reserves message ids and gives the messages their sequence numbers, each in one step. Several
-- messages go in one call, one after another; one that fails does not keep the others from passing.
--
-- KEYS[1] im:doubt_until              unix ms; until then an id that is not here may have been forgotten
-- and for each message:
-- KEYS[1] msg:{msg_id}                hash, see message-states.ts
-- KEYS[2] seq:{type}:{conversation}   hash: n last number given, ceil highest it may give,
--                                     gen generation it belongs to, nonce of its installation
-- KEYS[3] inbox:count:{user}          messages that wait for the recipient (any key for a group)
-- KEYS[4] erased/{sha256(msg_id)}     there: the message was deleted for good
-- ARGV[1] lease, ms                   ARGV[2] generation of this Redis
-- ARGV[3] time to live, s            ARGV[4] 1: stop after the first that is busy or needs a block
-- and for each message:
-- ARGV[1] digest of the payload       ARGV[2] owner (unique to this attempt; nonce of a new counter)
-- ARGV[3] sender                      ARGV[4] {type}:{conversation}
--
-- Returns for each message {kind, ...}:
--   {'new', number, left below the ceiling, waiting or false, doubt}   reserved, ours; doubt is 1
--                 when the id may have been used before Redis lost its memory
--   {'again', number, state, waited}   answered before; waited is '1' if the answer was "offline"
--   {'busy'}      another attempt holds the lease
--   {'conflict'}  same id, other payload
--   {'erased'}    the message was deleted for good
--   {'ceiling', nonce}   the counter needs a block; nothing was reserved
--   {'stale'}     this connection's generation is over
--   {'error', text}   Redis refused a command
local lease, generation, ttl, in_order = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_end = string.format('%d', now + lease)

local doubt_until
local function in_doubt()
  if not doubt_until then
    doubt_until = redis.call('GET', KEYS[1])
    if not doubt_until then
      -- Somebody emptied this Redis: whatever ids it held are forgotten.
      doubt_until = now + ttl * 1000
      redis.call('SET', KEYS[1], string.format('%d', doubt_until))
    end
    doubt_until = tonumber(doubt_until)
  end
  return now < doubt_until
end

-- What is nearly always the same is asked for all messages at once: a call costs more than its work.
local msg_keys, erased_keys, count_keys = {}, {}, {}
for k = 2, #KEYS, 4 do
  msg_keys[#msg_keys + 1] = KEYS[k]
  count_keys[#count_keys + 1] = KEYS[k + 2]
  erased_keys[#erased_keys + 1] = KEYS[k + 3]
end
local some_known = redis.call('EXISTS', unpack(msg_keys)) > 0
local some_erased = redis.call('EXISTS', unpack(erased_keys)) > 0
local waiting = redis.call('MGET', unpack(count_keys))

-- Hashes that this call has made.
local made = {}
local UNKNOWN = {}

local function reserve(msg_key, seq_key, waits, erased_key, digest, owner, sender, conversation)
  local msg = UNKNOWN
  if some_known or made[msg_key] then
    msg = redis.call('HMGET', msg_key, 'digest', 'state', 'seq', 'lease', 'waited')
  end
  local number = msg[3]
  local doubt = 0
  if msg[1] then
    if msg[1] ~= digest then return { 'conflict' } end
    if msg[2] ~= 'routing' and msg[2] ~= 'failed' then
      return { 'again', number, msg[2], msg[5] }
    end
    if msg[2] == 'routing' and tonumber(msg[4]) > now then return { 'busy' } end
  elseif some_erased and redis.call('EXISTS', erased_key) == 1 then
    -- Its deletion took the hash away in the same step in which it set this.
    return { 'erased' }
  elseif in_doubt() then
    doubt = 1
  end

  local left = -1
  if not number then
    local seq = redis.call('HMGET', seq_key, 'n', 'ceil', 'gen', 'nonce')
    if seq[3] and tonumber(seq[3]) > tonumber(generation) then return { 'stale' } end
    if seq[3] ~= generation then
      -- Missing, or of an earlier life: what it remembers is not believed.
      redis.call('DEL', seq_key)
      redis.call('HSET', seq_key, 'gen', generation, 'nonce', owner)
      return { 'ceiling', owner }
    end
    if not seq[1] or tonumber(seq[1]) >= tonumber(seq[2]) then return { 'ceiling', seq[4] } end
    number = redis.call('HINCRBY', seq_key, 'n', 1)
    left = tonumber(seq[2]) - number
  end

  made[msg_key] = true
  redis.call('HSET', msg_key, 'digest', digest, 'state', 'routing', 'seq', number,
    'owner', owner, 'lease', lease_end, 'sender', sender, 'conv', conversation)
  redis.call('EXPIRE', msg_key, ttl)
  return { 'new', number, left, waits, doubt }
end

local replies = {}
for i = 1, (#KEYS - 1) / 4 do
  local k, a = 4 * i - 2, 4 * i + 1
  local done, reply = pcall(reserve, KEYS[k], KEYS[k + 1], waiting[i], KEYS[k + 3],
    ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3])
  if not done then
    reply = { 'error', type(reply) == 'table' and reply.err or tostring(reply) }
  end
  replies[i] = reply
  if in_order and (reply[1] == 'busy' or reply[1] == 'ceiling') then break end
end
return replies
