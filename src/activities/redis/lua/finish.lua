-- Records the answers of routed messages, except those that another attempt has taken over. Several
-- messages go in one call; one that fails does not keep the others from being recorded.
--
-- For each message:
-- KEYS[1] msg:{msg_id}   KEYS[2] inbox:count:{user} (any key when ARGV[6] is 0)
-- ARGV[1] owner          ARGV[2] state          ARGV[3] delivered_at, '' if not
-- ARGV[4] devices, JSON  ARGV[5] detail: the error_message of a degraded success, '' if none
-- ARGV[6] how many the recipient's count of waiting messages grows by
-- "offline" comes late for a message that was delivered meanwhile: it waits no more and stays delivered.
-- Returns for each message 1 when recorded, 0 when taken over or gone, or the text of an error.
local function finish(msg_key, count_key, owner, state, delivered_at, devices, detail, more)
  local msg = redis.call('HMGET', msg_key, 'owner', 'state')
  if msg[1] ~= owner then return 0 end
  local is_offline = state == 'offline'
  if is_offline and msg[2] == 'delivered' then
    redis.call('HSET', msg_key, 'owner', '', 'lease', '0', 'waited', '1')
    return 1
  end
  if is_offline then
    redis.call('HSET', msg_key, 'state', state, 'delivered_at', delivered_at, 'devices', devices,
      'detail', detail, 'owner', '', 'lease', '0', 'waited', '1')
  else
    redis.call('HSET', msg_key, 'state', state, 'delivered_at', delivered_at, 'devices', devices,
      'detail', detail, 'owner', '', 'lease', '0')
  end
  if more ~= '0' and redis.call('EXISTS', count_key) == 1 then
    redis.call('INCRBY', count_key, more)
  end
  return 1
end

local replies = {}
for i = 1, #KEYS / 2 do
  local k, a = 2 * i - 1, 6 * i - 5
  local done, reply = pcall(finish, KEYS[k], KEYS[k + 1],
    ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5])
  if not done then reply = type(reply) == 'table' and reply.err or tostring(reply) end
  replies[i] = reply
end
return replies
