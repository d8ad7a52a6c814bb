-- Takes one request from a caller's allowance (generic cell rate algorithm: no window to game, one
-- number for each caller).
--
-- KEYS[1] rate:{kind}:{caller}   the time at which the allowance is full again, ms (Redis time)
-- ARGV[1] requests a window allows   ARGV[2] window, ms
-- Returns {1 when taken else 0, requests left, ms until it is full again, ms until the next is taken}
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local step = tonumber(ARGV[2]) / tonumber(ARGV[1])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local after = full + step
local wait = after - now - tonumber(ARGV[2])
if wait > 0 then return { 0, 0, math.ceil(full - now), math.ceil(wait) } end
redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil(after - now))
return { 1, math.floor(-wait / step), math.ceil(after - now), 0 }
