-- What becomes of dead letters of one queue.

-- They are tried again, with all their attempts before them; their errors stay. `letters`: {id, delay in ms (0: now), new envelope or
-- '' (unchanged)} each. Returns how many were dead.
local function revive(q, letters)
  local ageing, asleep = unpack(redis.call('HMGET', q.policy, 'ageing', 'asleep'))
  local band = band_of(ageing)
  local tick = math.max(now_tick, (tonumber(redis.call('HGET', q.counts, 'tick') or 0)) + 1)
  local revived, soonest = 0, nil
  for _, letter in ipairs(letters) do
    local id, delay, envelope = unpack(letter)
    local score = redis.call('ZSCORE', q.dead, id)
    if score then
      local _, priority = split_priority(score)
      redis.call('ZREM', q.dead, id)
      redis.call('HDEL', q.runs, id)
      redis.call('HDEL', q.results, id)
      redis.call('ZREM', q.expires, 'deadline\0' .. id) -- Whoever retries it wants it to run.
      tell_batches(q, {id}, 'pending')
      leave_letters(q, {id})
      if envelope ~= '' then
        redis.call('HSET', q.jobs, id, envelope)
      end
      if delay > 0 then
        redis.call('ZADD', q.scheduled, with_priority(now + delay, priority), id)
        soonest = math.min(soonest or math.huge, now + delay)
      else
        redis.call('ZADD', q.ready, priority * band + tick, id)
        tick = tick + 1
        wake(q)
      end
      revived = revived + 1
    end
  end
  if revived > 0 then
    rouse(q, {asleep = asleep})
    redis.call('HSET', q.counts, 'tick', exact(tick))
    redis.call('HINCRBY', q.counts, 'revived', revived)
    if soonest and not is_watched(q, soonest) then
      wake(q)
    end
  end
  return revived
end
