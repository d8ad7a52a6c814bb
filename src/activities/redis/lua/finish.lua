-- Records the answers of routed messages, except those that are not this attempt's any more. Several
-- messages go in one call; one that fails does not keep the others from being recorded.
--
-- For each message:
-- KEYS[1] msg:{msg_id}   KEYS[2] inbox:count:{user} (any key when ARGV[5] is 0)
-- ARGV[1] owner          ARGV[2] state
-- ARGV[3] delivered_at, '' if not   ARGV[4] devices, JSON, of what was delivered
-- ARGV[5] how many the recipient's count of waiting messages grows by
-- Returns for each message 1 when recorded; 0 when another attempt has taken it over, when it was
-- delivered meanwhile or is gone; or the text of an error.
local function finish(msg_key, count_key, owner, state, delivered_at, devices, more)
  local was = redis.call('HGET', msg_key, 'state')
  if not was or string.match(was, '^routing %d+ (.+)$') ~= owner then return 0 end
  if delivered_at ~= '' then
    redis.call('HSET', msg_key, 'state', state, 'delivered_at', delivered_at, 'devices', devices)
  elseif state == 'offline' then
    redis.call('HSET', msg_key, 'state', state, 'waited', '1')
  else
    redis.call('HSET', msg_key, 'state', state)
  end
  if more ~= '0' and redis.call('EXISTS', count_key) == 1 then
    redis.call('INCRBY', count_key, more)
  end
  return 1
end

local replies = {}
for i = 1, #KEYS / 2 do
  local k, a = 2 * i - 1, 5 * i - 4
  local done, reply = pcall(finish, KEYS[k], KEYS[k + 1],
    ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4])
  if not done then reply = type(reply) == 'table' and reply.err or tostring(reply) end
  replies[i] = reply
end
return replies
