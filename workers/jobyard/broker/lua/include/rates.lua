-- Rate limits by GCRA: `rates` holds, for each key ('' is the whole queue), the time at which its jobs would be exactly on
-- schedule. With a burst of b, b jobs may start at once; after that one every period / rate.

-- When the next job of `key` may start: `now`, or later. Takes nothing.
local function next_start(q, key, rate, period, burst)
  local step = (period or 1000) / rate
  local on_schedule = tonumber(redis.call('ZSCORE', q.rates, key)) or now
  -- To the nearest millisecond: a score of today's size is exact to a quarter of a microsecond only, and rounding up what is too
  -- large by that would take away the last job of a burst.
  return math.max(now, math.floor(on_schedule - ((burst or 1) - 1) * step + 0.5))
end

-- A job of `key` starts, now or at the time that `next_start` gave it.
local function charge(q, key, rate, period)
  local step = (period or 1000) / rate
  local on_schedule = tonumber(redis.call('ZSCORE', q.rates, key)) or now
  redis.call('ZADD', q.rates, math.max(now, on_schedule) + step, key)
end
