-- What batches must hear of their jobs, and whom they call. A batch may lie on another node than its jobs, which no script can
-- touch; so it is kept here, in the script that made it true, until somebody has brought it there (see notices.py).

-- `notices` leave in this order. Each has a number of its own, so that who brings them says exactly what may go.
local function post(q, notices)
  local last = redis.call('HINCRBY', q.counts, 'notices', #notices)
  local numbered = {}
  for i = 1, #notices do
    numbered[2 * i - 1] = exact(last - #notices + i)
    numbered[2 * i] = notices[i]
  end
  redis.call('ZADD', q.notices, unpack(numbered))
  q.posted = true
end

-- These jobs are now completed, dead, cancelled or discarded; or pending again. Those that are in no batch cost one EXISTS.
local function tell_batches(q, ids, state)
  if redis.call('EXISTS', q.batched) == 0 then
    return
  end
  local batches = redis.call('HMGET', q.batched, unpack(ids))
  local notices = {}
  for i = 1, #ids do
    if batches[i] then
      notices[#notices + 1] = table.concat({batches[i], state, ids[i]}, '\0')
    end
  end
  if #notices > 0 then
    post(q, notices)
  end
end

-- A job that is known already is now in a batch. False: it is in another one.
local function join(q, id, batch)
  local other = redis.call('HGET', q.batched, id)
  if other then
    return other == batch
  end
  redis.call('HSET', q.batched, id, batch)
  for _, state in ipairs({'completed', 'dead', 'cancelled'}) do
    if redis.call('ZSCORE', q[state], id) then
      tell_batches(q, {id}, state)
    end
  end
  return true
end
