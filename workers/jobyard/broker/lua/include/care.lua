-- Every fetch looks after its queues: expired leases, due jobs, jobs that expire, retention. A bounded number a call.
-- A lease is renewed when a third of it is over, and an idle worker asks as often. So after a silence of half a lease nobody
-- could speak to Redis, and leases may have run out for no other reason: then workers get this long to come back with what
-- they have, before their jobs are taken for abandoned.
local GRACE = 5000

-- Queues, by number, that have had a large job.
local large = {}

local function grace_of(i, q)
  local seen, grace, had_large = unpack(redis.call('HMGET', q.counts, 'seen', 'grace', 'large'))
  large[i] = had_large
  seen, grace = tonumber(seen or now), tonumber(grace or 0)
  if now - seen > lease / 2 then
    grace = now + GRACE
    redis.call('HSET', q.counts, 'grace', exact(grace))
  end
  if now - seen > lease / 15 or seen == now then
    redis.call('HSET', q.counts, 'seen', exact(now)) -- as renew.lua does
  end
  return grace
end

local NOT_STARTED = '{"group":"Expired","error":"Expired","message":"the job was not started in time"}'

-- The time of a job is over: `kind` is 'job' (it must have started) or 'deadline' (it must have ended).
local function time_is_over(q, kind, id)
  local detail = kind == 'job' and NOT_STARTED or TOO_LATE
  if redis.call('ZREM', q.ready, id) + redis.call('ZREM', q.scheduled, id) > 0 then
    bury_late(q, id, detail)
  elseif unparked(q, id) then
    bury_late(q, id, detail, false, true)
  elseif kind == 'deadline' and redis.call('ZSCORE', q.active, id) and stop_late(q, id) then
    -- As keys.py names a worker's channel. Only a nudge: its next renewal tells the worker in any case.
    local namespace = string.match(q.jobs, '^(.-):{')
    redis.call('PUBLISH', namespace .. ':worker:' .. parse_run(redis.call('HGET', q.runs, id)).caller, 'deadline')
  end
end

-- Queues, by number, in which the time of more jobs is over than one call takes away: none of them must start.
local overdue = {}
local MOST_OVER = 200

local graces = {}
-- By number of the queue: when its breakers have to be looked at again, and whether one of them is not closed.
local breakers_at, guarded = {}, {}

local function look_after(i, q, policy)
  graces[i] = grace_of(i, q)
  if graces[i] <= now then
    local expired = redis.call('ZRANGEBYSCORE', q.active, '-inf', now, 'LIMIT', 0, 100)
    if #expired > 0 then
      recover(q, expired, '{"group":"LeaseExpired","error":"LeaseExpired","message":"the worker stopped renewing its lease"}')
    end
  end

  local due = redis.call('ZRANGEBYSCORE', q.scheduled, '-inf', '(' .. now + 1, 'WITHSCORES', 'LIMIT', 0, 500)
  if #due > 0 then
    due = let_in(q, policy, due)
  end
  if #due > 0 then
    rouse(q, policy)
    local band = band_of(policy.ageing)
    local ready, ids = {}, {}
    for j = 1, #due, 2 do
      local ms, priority = split_priority(due[j + 1])
      ready[#ready + 1] = priority * band + tick_of(ms)
      ready[#ready + 1] = due[j]
      ids[#ids + 1] = due[j]
    end
    redis.call('ZREM', q.scheduled, unpack(ids))
    redis.call('ZADD', q.ready, unpack(ready))
  end

  local over = redis.call('ZRANGEBYSCORE', q.expires, '-inf', now, 'LIMIT', 0, MOST_OVER)
  overdue[i] = #over == MOST_OVER
  for _, name in ipairs(over) do
    redis.call('ZREM', q.expires, name)
    local kind, id = string.match(name, '^(%a+)%z(.*)$')
    if kind == 'unique' then
      redis.call('HDEL', q.unique, id)
    else
      time_is_over(q, kind, id)
    end
  end
  breakers_at[i], guarded[i] = look_after_breakers(q)
  redis.call('ZREMRANGEBYSCORE', q.rates, '-inf', now - 1000)

  trim(q, 'completed', policy)
  trim(q, 'cancelled', policy)
  local evicted = trim(q, 'dead', policy)
  if evicted > 0 then
    redis.call('HINCRBY', q.counts, 'evicted', evicted)
    reply[3] = reply[3] + evicted
  end
  q.posted = q.posted or redis.call('EXISTS', q.notices) == 1
end
