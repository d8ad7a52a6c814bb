-- Reserves message ids and gives the messages their sequence numbers, each in one step. Several
-- messages go in one call, one after another; one that fails does not keep the others from passing.
--
-- KEYS[1] im:doubt_until              unix ms; until then an id that is not here may have been forgotten
-- and for each message:
-- KEYS[1] msg:{msg_id}                hash, see message-states.ts
-- KEYS[2] seq:{type}:{conversation}   counter, see message-states.ts
-- KEYS[3] inbox:count:{user}          messages that wait for the recipient (any key for a group)
-- KEYS[4] erased/{sha256(msg_id)}     there: the message was deleted for good
-- ARGV[1] lease, ms                   ARGV[2] generation of this Redis
-- ARGV[3] time to live, s            ARGV[4] 1: stop after the first that is busy or needs a block
-- and for each message:
-- ARGV[1] digest of the payload       ARGV[2] owner (unique to this attempt; nonce of a new counter)
-- ARGV[3] sender
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

-- What can be is asked for all messages at once: a call costs more than its work.
local msg_keys, seq_keys, count_keys, erased_keys = {}, {}, {}, {}
for k = 2, #KEYS, 4 do
  local i = #msg_keys + 1
  msg_keys[i], seq_keys[i], count_keys[i], erased_keys[i] = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
end
local some_known = redis.call('EXISTS', unpack(msg_keys)) > 0
local some_erased = redis.call('EXISTS', unpack(erased_keys)) > 0
local waiting = redis.call('MGET', unpack(count_keys))
local counters = redis.call('MGET', unpack(seq_keys))

-- By key: what this call makes of counters.
local numbering = {}
local function counter_of(i)
  local key = seq_keys[i]
  local counter = numbering[key]
  if not counter then
    counter = { changed = false }
    if counters[i] then
      counter.gen, counter.nonce, counter.n, counter.ceil =
        string.match(counters[i], '^(%d+) (%S+) (%d*) (%d*)$')
      counter.n, counter.ceil = tonumber(counter.n), tonumber(counter.ceil)
    end
    numbering[key] = counter
  end
  return counter
end

-- Returns the number and how many are left, or why there is none.
local function next_number(i, owner)
  local counter = counter_of(i)
  if counter.gen ~= generation then
    if counter.gen and tonumber(counter.gen) > tonumber(generation) then return nil, { 'stale' } end
    -- Missing, or of an earlier life: what it remembers is not believed.
    counter.gen, counter.nonce, counter.n, counter.ceil = generation, owner, nil, nil
    counter.changed = true
  end
  if not counter.n or counter.n >= counter.ceil then return nil, { 'ceiling', counter.nonce } end
  counter.n, counter.changed = counter.n + 1, true
  return counter.n, counter.ceil - counter.n
end

-- Digests of what this call reserves, by key.
local made = {}
local UNKNOWN = {}
local ANSWERED = { delivered = true, offline = true, published = true }

-- Returns the reply; one of kind 'new' is not written yet.
local function decide(i, digest, owner)
  local key = msg_keys[i]
  if made[key] then return { made[key] == digest and 'busy' or 'conflict' } end
  local msg = UNKNOWN
  if some_known then
    msg = redis.pcall('HMGET', key, 'digest', 'state', 'seq', 'waited')
    if msg.err then return { 'error', msg.err } end
  end
  local doubt = 0
  if msg[1] then
    if msg[1] ~= digest then return { 'conflict' } end
    local state = msg[2] or ''
    if ANSWERED[state] then return { 'again', msg[3], state, msg[4] } end
    -- Failed, abandoned, or not a state of ours: nobody was told that the message is safe.
    local routing_until = tonumber(string.match(state, '^routing (%d+)') or 0)
    if routing_until > now then return { 'busy' } end
  elseif some_erased and redis.call('EXISTS', erased_keys[i]) == 1 then
    -- Its deletion took the hash away in the same step in which it set this.
    return { 'erased' }
  elseif in_doubt() then
    doubt = 1
  end
  local number, left = msg[3], -1
  if not number then
    number, left = next_number(i, owner)
    if not number then return left end
  end
  made[key] = digest
  return { 'new', number, left, waiting[i], doubt }
end

local replies = {}
for i = 1, #msg_keys do
  local a = 3 * i + 2
  local reply = decide(i, ARGV[a], ARGV[a + 1])
  replies[i] = reply
  if in_order and (reply[1] == 'busy' or reply[1] == 'ceiling') then break end
end

-- Counters first: should a message fail after that, its number is given to nobody.
local changed = {}
for key, counter in pairs(numbering) do
  if counter.changed then
    changed[#changed + 1] = key
    changed[#changed + 1] = string.format('%s %s %s %s', counter.gen, counter.nonce,
      counter.n and string.format('%d', counter.n) or '',
      counter.ceil and string.format('%d', counter.ceil) or '')
  end
end
if #changed > 0 then redis.call('MSET', unpack(changed)) end

for i, reply in ipairs(replies) do
  if reply[1] == 'new' then
    local a = 3 * i + 2
    local written = redis.pcall('HSET', msg_keys[i], 'digest', ARGV[a],
      'state', 'routing ' .. lease_end .. ' ' .. ARGV[a + 1], 'seq', string.format('%d', reply[2]),
      'sender', ARGV[a + 2], 'conv', string.sub(seq_keys[i], 5))
    if type(written) == 'table' then
      replies[i] = { 'error', written.err }
    else
      redis.call('EXPIRE', msg_keys[i], ttl)
    end
  end
end
return replies
