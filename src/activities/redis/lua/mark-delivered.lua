-- Notes that a message which waited has reached devices; the first time is kept. Its attempt may not
-- have recorded yet that it waits, and need not any more.
--
-- KEYS[1] msg:{msg_id}   ARGV[1] delivered_at   ARGV[2] devices, JSON
-- Returns 1 when noted, 0 when the hash is gone or was delivered already.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state ~= 'offline' and string.sub(state, 1, 7) ~= 'routing' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'delivered', 'delivered_at', ARGV[1], 'devices', ARGV[2], 'waited', '1')
return 1
