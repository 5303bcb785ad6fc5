-- Deadlines: no attempt starts after it, and one that runs then is stopped. They stand in `expires`, and stay there when a job
-- ends before: whoever comes by at that time finds nothing to do.
local TOO_LATE = '{"group":"DeadlineExceeded","error":"DeadlineExceeded","message":"the job had not ended by its deadline"}'

-- Whether a job has a deadline that is over at `time`.
local function is_over(q, id, time)
  local deadline = redis.call('EXISTS', q.expires) == 1 and redis.call('ZSCORE', q.expires, 'deadline\0' .. id)
  return deadline and tonumber(deadline) <= time
end

-- A running job is asked to stop since its deadline is over. If somebody asked before, that holds.
local function stop_late(q, id)
  return redis.call('HSETNX', q.cancels, id, exact(now) .. ' deadline') == 1
end
