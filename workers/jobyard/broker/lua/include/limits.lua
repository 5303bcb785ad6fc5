-- Taking jobs from a queue that has limits.

-- Up to `most` jobs from the head of a queue that has limits. A job whose key is at its limit is parked, or given the time
-- at which it may start; a limit of the whole queue ends it: `blocked` then says until when.
local blocked = {}
local function take_limited(i, most)
  local q, policy = queues[i], policies[i]
  local ids, positions = {}, {}
  local room = math.min(most, (policy.concurrency or math.huge) - redis.call('ZCARD', q.active))
  if room <= 0 then
    blocked[i] = math.huge
    return ids, positions
  end
  local starting = {}
  for _ = 1, 1000 do
    if #ids >= room then
      break
    end
    local start_at = policy.rate and policy.rate_mode ~= 'reject'
      and next_start(q, '', policy.rate, policy.rate_period, policy.rate_burst) or now
    if start_at > now then
      blocked[i] = start_at
      break
    end
    local head = redis.call('ZPOPMIN', q.ready)
    local id, position = head[1], head[2]
    if not id then
      break
    end
    local job = traits_of(q, {id})[1]
    local key = job and job.key ~= '' and job.key
    local dependency = job and job.dependency ~= '' and job.dependency
    if dependency and breaker_holds(q, dependency) then
      park(q, HELD .. dependency, position, id)
      if key then
        unpark(q, key, 1) -- It may have been called for its key's slot, which another one can use.
      end
    elseif key and policy.key_concurrency
      and (tonumber(redis.call('HGET', q.slots, key)) or 0) + (starting[key] or 0) >= policy.key_concurrency then
      park(q, key, position, id)
    else
      local at = key and policy.key_rate and policy.rate_mode ~= 'reject' and not job.granted
        and next_start(q, key, policy.key_rate, policy.key_rate_period, policy.key_rate_burst)
      if at then
        charge(q, key, policy.key_rate, policy.key_rate_period)
      end
      if at and at > now then
        job.granted = true
        set_traits(q, job)
        redis.call('ZADD', q.scheduled, with_priority(at, priority_of(redis.call('HGET', q.jobs, id))), id)
      else
        if policy.rate and policy.rate_mode ~= 'reject' then
          charge(q, '', policy.rate, policy.rate_period)
        end
        if key then
          starting[key] = (starting[key] or 0) + 1
        end
        if dependency then
          breaker_tries(q, dependency, id)
        end
        ids[#ids + 1] = id
        positions[#positions + 1] = position
      end
    end
  end
  return ids, positions
end
