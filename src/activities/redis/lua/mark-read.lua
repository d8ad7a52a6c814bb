-- Notes that a message was read; the first time is kept. The state stays: an answer that is recorded
-- later must not undo this.
--
-- KEYS[1] msg:{msg_id}   ARGV[1] read_at
-- Returns 1 when noted, 0 when the hash is gone or was read already.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSETNX', KEYS[1], 'read_at', ARGV[1])
