-- Notes that messages were read; the first time is kept. The state stays: an answer that is recorded
-- later must not undo this.
--
-- For each message:
-- KEYS[1] msg:{msg_id}   ARGV[1] read_at
-- Returns for each 1 when noted, 0 when the hash is gone or was read already, or the text of an error.
local replies = {}
for i, key in ipairs(KEYS) do
  local reply = redis.pcall('EXISTS', key)
  if reply == 1 then reply = redis.pcall('HSETNX', key, 'read_at', ARGV[i]) end
  replies[i] = type(reply) == 'table' and reply.err or reply
end
return replies
