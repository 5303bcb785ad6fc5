-- New jobs enter a queue. `jobs` is a list of {id, envelope, priority, delay in ms}. A job whose id is known, in whatever
-- state, is left alone. `me` is the worker that calls, if one does. Returns how many were new.
local function arrive(q, jobs, me)
  local fresh, seen = {}, {}
  for at = 1, #jobs, 1000 do
    local ids = {}
    for i = at, math.min(at + 999, #jobs) do
      ids[#ids + 1] = jobs[i][1]
    end
    local known = redis.call('HMGET', q.jobs, unpack(ids))
    for i = 1, #ids do
      if not known[i] and not seen[ids[i]] then
        seen[ids[i]] = true
        fresh[#fresh + 1] = jobs[at + i - 1]
      end
    end
  end
  if #fresh == 0 then
    return 0
  end

  local band = band_of(redis.call('HGET', q.policy, 'ageing'))
  local tick = math.max(now_tick, (tonumber(redis.call('HGET', q.counts, 'tick') or 0)) + 1)
  local soonest
  for at = 1, #fresh, 1000 do
    local envelopes, ready, scheduled = {}, {}, {}
    for i = at, math.min(at + 999, #fresh) do
      local id, envelope, priority, delay = unpack(fresh[i])
      envelopes[#envelopes + 1] = id
      envelopes[#envelopes + 1] = envelope
      if delay > 0 then
        local due = now + delay
        scheduled[#scheduled + 1] = with_priority(due, priority)
        scheduled[#scheduled + 1] = id
        soonest = math.min(soonest or due, due)
      else
        ready[#ready + 1] = priority * band + tick
        ready[#ready + 1] = id
        tick = tick + 1
      end
    end
    redis.call('HSET', q.jobs, unpack(envelopes))
    if #ready > 0 then
      redis.call('ZADD', q.ready, unpack(ready))
      wake(q)
    end
    if #scheduled > 0 then
      redis.call('ZADD', q.scheduled, unpack(scheduled))
    end
  end
  redis.call('HSET', q.counts, 'tick', exact(tick))
  redis.call('HINCRBY', q.counts, 'accepted', #fresh)
  if soonest and not is_watched(q, soonest, me) then
    wake(q)
  end
  return #fresh
end
