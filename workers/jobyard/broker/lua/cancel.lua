#!lua flags=allow-oom
-- Cancel one job: at once where it waits, by asking its worker where it runs.
--   KEYS  the queue's keys
--   ARGV  1: id
--   Reply {state that the job had: waiting | delayed | parked | active | dead | completed | cancelled | unknown,
--         the caller that runs it, or ''}
--@include queue
--@include clock
--@include wake
--@include traits
--@include leave
local q, id = queue_at(1), ARGV[1]
for place, state in pairs({ready = 'waiting', scheduled = 'delayed'}) do
  if redis.call('ZREM', q[place], id) == 1 then
    cancel_now(q, id, false)
    return {state, ''}
  end
end
if unparked(q, id) then
  cancel_now(q, id, false)
  return {'parked', ''}
end
if redis.call('ZSCORE', q.active, id) then
  redis.call('HSETNX', q.cancels, id, exact(now))
  return {'active', parse_run(redis.call('HGET', q.runs, id)).caller}
end
for _, state in ipairs({'dead', 'completed', 'cancelled'}) do
  if redis.call('ZSCORE', q[state], id) then
    return {state, ''}
  end
end
return {'unknown', ''}
