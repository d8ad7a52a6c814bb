-- Records the answer of a routed message, unless another attempt has taken it over.
--
-- KEYS[1] msg:{msg_id}   KEYS[2] inbox:count:{user} (any key when ARGV[6] is 0)
-- ARGV[1] owner          ARGV[2] state          ARGV[3] delivered_at, '' if not
-- ARGV[4] devices, JSON  ARGV[5] detail: the error_message of a degraded success, '' if none
-- ARGV[6] how many the recipient's count of waiting messages grows by
-- Returns 1 when recorded, 0 when taken over or gone.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'delivered_at', ARGV[3], 'devices', ARGV[4], 'detail', ARGV[5])
redis.call('HDEL', KEYS[1], 'owner', 'lease')
if ARGV[2] == 'offline' then redis.call('HSET', KEYS[1], 'waited', 1) end
if ARGV[6] ~= '0' and redis.call('EXISTS', KEYS[2]) == 1 then redis.call('INCRBY', KEYS[2], ARGV[6]) end
return 1
