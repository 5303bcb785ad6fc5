-- Time is the server's. `now` is in milliseconds; a tick is 10 microseconds since 2025, so that a position (a priority's
-- band and a tick) stays exact in a double until 2050.
local EPOCH = 1735689600
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_tick = (time[1] - EPOCH) * 100000 + math.floor(time[2] / 10)

local function tick_of(ms)
  return (ms - EPOCH * 1000) * 100
end

-- Lua's own conversion keeps 14 digits only.
local function exact(number)
  return string.format('%.0f', number)
end
