-- Where a job stands in `ready`: one level of priority is worth `band` ticks of waiting. Strict priority is a band of 25
-- years; with ageing it is the policy's `ageing` seconds, so that a job of priority p waits at most
-- (p - r) x ageing seconds longer than one of priority r that arrives at the same time.
local STRICT = 8e13

local function band_of(ageing)
  ageing = tonumber(ageing)
  if ageing and ageing > 0 then
    return ageing * 100000
  end
  return STRICT
end

-- A due time or a time of death carries the job's priority in its fraction: 41 bits of milliseconds, 7 bits of priority.
local function with_priority(ms, priority)
  return ms + priority / 128
end

local function split_priority(score)
  score = tonumber(score)
  local ms = math.floor(score)
  return ms, math.floor((score - ms) * 128 + 0.5)
end

-- The priority of a job that waits is in its envelope, which ends with it; or begins, after ! (an encoder of the application),
-- * (encrypted) or = (signed).
local function priority_of(envelope)
  envelope = envelope or ''
  return tonumber(string.match(envelope, '^[!*=](%d+) ') or string.match(envelope, '(%d+)%]$') or 5)
end

-- A position for comparing jobs of several queues of one worker. With ageing the strict ones count as if they aged as well;
-- otherwise they would come after all jobs of the others. The order within a queue stays. nil for no position.
local function comparable(position, ageing)
  position = tonumber(position)
  if not position or ageing == 0 or position < STRICT then
    return position
  end
  local priority = math.floor(position / STRICT)
  return position - priority * STRICT + priority * band_of(ageing)
end
