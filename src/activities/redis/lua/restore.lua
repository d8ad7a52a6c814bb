-- Puts back what Redis had forgotten of a message that was answered before.
--
-- KEYS[1] msg:{msg_id}   ARGV[1] owner of the attempt that found out   ARGV[2] sequence number
-- ARGV[3] state          ARGV[4] waited, 1 or 0
-- ARGV[5] delivered_at, '' if not   ARGV[6] devices, JSON
local state = redis.call('HGET', KEYS[1], 'state')
if not state or string.match(state, '^routing %d+ (.+)$') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'state', ARGV[3], 'waited', ARGV[4],
  'delivered_at', ARGV[5], 'devices', ARGV[6])
return 1
