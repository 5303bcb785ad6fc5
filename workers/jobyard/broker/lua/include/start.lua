-- Jobs that were taken from `ready` begin to run.

-- What keys, unique keys and turns have to do with it. Most jobs have none of them.
local function note_start(q, policy, ids, positions)
  if has_traits(q) then
    for _, job in ipairs(traits_of(q, ids)) do
      if job.key ~= '' then
        redis.call('HINCRBY', q.slots, job.key, 1)
      end
      if job.granted then
        job.granted = false
        set_traits(q, job)
      end
    end
    release_unique(q, ids, 'start')
  end
  if redis.call('EXISTS', q.expires) == 1 then
    for j = 1, #ids do
      redis.call('ZREM', q.expires, 'job\0' .. ids[j])
    end
  end
  if policy.fair == '1' then
    -- Where the turn of each priority is now, for keys that come back.
    for j = 1, #ids do
      local priority = math.floor(positions[j] / STRICT)
      redis.call('HSET', q.fair, priority .. '\0turn', exact(positions[j] - priority * STRICT))
    end
    if redis.call('EXISTS', q.ready) == 0 and redis.call('EXISTS', q.parked) == 0 then
      redis.call('DEL', q.fair)
    end
  end
end

-- Returns the attempts and the envelopes.
local function start(i, ids, positions)
  local q = queues[i]
  local envelopes = redis.call('HMGET', q.jobs, unpack(ids))
  local runs = redis.call('HMGET', q.runs, unpack(ids))
  local leases, fences, attempts = {}, {}, {}
  local head, started = caller .. ' ' .. call .. ' ', ' ' .. exact(now) .. ' '
  for j = 1, #ids do
    local attempt = 1
    if runs[j] then
      attempt = tonumber(string.match(runs[j], '^%S+ %S+ (%d+)')) + 1
    end
    attempts[j] = attempt
    leases[2 * j - 1], leases[2 * j] = now + lease, ids[j]
    fences[2 * j - 1], fences[2 * j] = ids[j], head .. attempt .. started .. positions[j]
  end
  redis.call('ZADD', q.active, unpack(leases))
  redis.call('HSET', q.runs, unpack(fences))
  redis.call('HINCRBY', q.counts, 'started', #ids)
  note_start(q, policies[i], ids, positions)
  return attempts, envelopes
end
