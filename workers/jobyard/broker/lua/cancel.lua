#!lua flags=allow-oom
-- Cancel jobs of one queue: at once where they wait, by asking their worker where they run.
--   KEYS  the queue's keys
--   ARGV  ids
--   Reply two for each id: the state that the job had (waiting | delayed | parked | active | dead | completed | cancelled |
--         unknown), and the caller that runs it, or ''
--@include queue
--@include clock
--@include wake
--@include traits
--@include notices
--@include breakers
--@include leave
local q = queue_at(1)

local function cancel(id)
  for place, state in pairs({ready = 'waiting', scheduled = 'delayed'}) do
    if redis.call('ZREM', q[place], id) == 1 then
      cancel_now(q, id, false)
      return state, ''
    end
  end
  if unparked(q, id) then
    cancel_now(q, id, false, true)
    return 'parked', ''
  end
  if redis.call('ZSCORE', q.active, id) then
    redis.call('HSETNX', q.cancels, id, exact(now))
    return 'active', parse_run(redis.call('HGET', q.runs, id)).caller
  end
  for _, state in ipairs({'dead', 'completed', 'cancelled'}) do
    if redis.call('ZSCORE', q[state], id) then
      return state, ''
    end
  end
  return 'unknown', ''
end

local reply = {}
for i = 1, #ARGV do
  reply[2 * i - 1], reply[2 * i] = cancel(ARGV[i])
end
return reply
