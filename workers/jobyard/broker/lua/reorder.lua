#!lua flags=allow-oom
-- Jobs that came while the queue's order was strict take part in ageing, and the other way round.
--   KEYS  the queue's keys
--   ARGV  ids; the position of those that wait or run is brought in line with the policy
--   Reply how many changed
-- A change from one ageing to another leaves positions as they are: the difference is no more than the two bounds'.
--@include queue
--@include clock
--@include position
--@include leave
local q = queue_at(1)
local ageing, aged = unpack(redis.call('HMGET', q.policy, 'ageing', 'aged'))
local band = band_of(ageing)

local function priority_of(id)
  local envelope = redis.call('HGET', q.jobs, id) or ''
  return tonumber(string.match(envelope, '^[!*=](%d+) ') or string.match(envelope, ',%s*(%d+)%s*%]%s*$'))
end

-- The new position; nil: it stays.
local function move(id, position)
  position = tonumber(position)
  if band ~= STRICT and position >= STRICT then
    return comparable(position, tonumber(ageing))
  end
  if band == STRICT and position < STRICT and aged then
    local priority = priority_of(id)
    if priority and priority > 0 then
      return priority * STRICT + math.max(0, position - priority * band_of(aged))
    end
  end
end

local changed = 0
for i = 1, #ARGV do
  local id = ARGV[i]
  local position = redis.call('ZSCORE', q.ready, id)
  if position then
    position = move(id, position)
    if position then
      redis.call('ZADD', q.ready, position, id)
    end
  elseif redis.call('ZSCORE', q.active, id) then
    -- Where it stands if it is given back.
    local run = parse_run(redis.call('HGET', q.runs, id))
    position = move(id, run.position)
    if position then
      local fields = {run.caller, run.call, run.attempt, run.started, string.format('%.17g', position)}
      redis.call('HSET', q.runs, id, table.concat(fields, ' '))
    end
  end
  changed = changed + (position and 1 or 0)
end
return changed
