-- Takes requests from callers' allowances, one after another (generic cell rate algorithm: no window to
-- game, one number for each caller).
--
-- KEYS[i] rate:{kind}:{caller}   the time at which the allowance is full again, ms (Redis time)
-- ARGV[1] window, ms
-- and for each key:
-- ARGV[1] requests a window allows   ARGV[2] 1: not taken when the one before it is refused
-- Returns for each key {1 when taken else 0, requests left, ms until it is full again, ms until the next
-- is taken}; {-1} for a key that holds something else.
local window = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

local function take(key, limit)
  local known = redis.pcall('GET', key)
  local full = known == false and now or type(known) == 'string' and tonumber(known)
  if not full then return { -1 } end
  full = math.max(full, now)
  local step = window / limit
  local after = full + step
  local wait = after - now - window
  if wait > 0 then return { 0, 0, math.ceil(full - now), math.ceil(wait) } end
  redis.call('SET', key, string.format('%.3f', after), 'PX', math.ceil(after - now))
  return { 1, math.floor(-wait / step), math.ceil(after - now), 0 }
end

local results = {}
for i, key in ipairs(KEYS) do
  local follows = ARGV[2 * i + 1] == '1'
  if follows and results[i - 1][1] == 0 then
    results[i] = { 0, 0, 0, 0 }
  else
    results[i] = take(key, tonumber(ARGV[2 * i]))
  end
end
return results
