-- What is kept of jobs that have ended, and for how long (milliseconds). The policy may say otherwise.
local KEEP = {
  completed = 100000, completed_ttl = 3600000,
  cancelled = 10000, cancelled_ttl = 86400000,
  dead = 100000, dead_ttl = 2592000000,
}

-- These dead letters are none any more.
local function leave_letters(q, ids)
  if redis.call('EXISTS', q.letters) == 0 then
    return
  end
  local groups = redis.call('HMGET', q.letters, unpack(ids))
  for i = 1, #ids do
    if groups[i] then
      redis.call('HDEL', q.letters, ids[i])
      -- The group itself may be forgotten already.
      local field = groups[i] .. ' dead'
      if redis.call('HEXISTS', q.failures, field) == 1 and redis.call('HINCRBY', q.failures, field, -1) <= 0 then
        redis.call('HDEL', q.failures, field)
      end
    end
  end
end

-- Everything about jobs that are in no place any more.
local function forget(q, ids)
  for at = 1, #ids, 1000 do
    local some = {unpack(ids, at, math.min(at + 999, #ids))}
    redis.call('HDEL', q.jobs, unpack(some))
    redis.call('HDEL', q.runs, unpack(some))
    redis.call('HDEL', q.results, unpack(some))
    redis.call('HDEL', q.errors, unpack(some))
    redis.call('HDEL', q.progress, unpack(some))
    leave_letters(q, some)
    redis.call('HDEL', q.logs, unpack(some))
    if has_traits(q) then
      release_unique(q, some, 'end')
      forget_traits(q, some)
    end
    if redis.call('EXISTS', q.batched) == 1 then
      redis.call('HDEL', q.batched, unpack(some))
    end
    if redis.call('EXISTS', q.expires) == 1 then
      for i = 1, #some do
        redis.call('ZREM', q.expires, 'job\0' .. some[i], 'deadline\0' .. some[i])
      end
    end
  end
end

-- Forget the oldest jobs of one place beyond its count, or older than its time; a bounded number a call.
-- Returns how many.
local function trim(q, place, policy)
  local keep = tonumber(policy[place]) or KEEP[place]
  local ttl = tonumber(policy[place .. '_ttl']) or KEEP[place .. '_ttl']
  local old = redis.call('ZRANGEBYSCORE', q[place], '-inf', now - ttl, 'LIMIT', 0, 200)
  local excess = redis.call('ZCARD', q[place]) - #old - keep
  if excess > 0 then
    old = redis.call('ZRANGE', q[place], 0, #old + math.min(excess, 1000) - 1)
  end
  if #old > 0 then
    redis.call('ZREM', q[place], unpack(old))
    forget(q, old)
  end
  return #old
end

local LIMITS = {
  'concurrency', 'key_concurrency', 'rate', 'rate_period', 'rate_burst', 'key_rate', 'key_rate_period', 'key_rate_burst',
}
-- A queue's policy. `limited`: its jobs are looked at one by one; `stopped`: none is started, since it is paused or held.
local function read_policy(q)
  local policy = {}
  local all = redis.call('HGETALL', q.policy)
  for i = 1, #all, 2 do
    policy[all[i]] = all[i + 1]
  end
  for _, name in ipairs(LIMITS) do
    policy[name] = tonumber(policy[name])
  end
  policy.limited = policy.concurrency or policy.key_concurrency or policy.rate or policy.key_rate
  policy.stopped = policy.paused == '1' or policy.held ~= nil
  return policy
end

-- A job has come, or is due. If the queue sleeps (see sleep.lua), the operator is told, once. `policy` is the queue's.
local function rouse(q, policy)
  if policy.asleep and redis.call('HDEL', q.policy, 'asleep') == 1 then
    -- As keys.py names the channel.
    local namespace, name = string.match(q.jobs, '^(.-):{(.*)}:jobs$')
    redis.call('PUBLISH', namespace .. ':operator', name)
  end
end
