-- A job's wishes come as one argument: '' for none, or key NUL unique key NUL mode of the unique key (start, end, or for so
-- many ms; with a + it replaces one that waits) NUL ms by which the job must have started NUL ms of its deadline
-- NUL dependency NUL tags, each but the first after a \1; and, for a job of a batch, NUL the batch.
local WISHES = '^([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z?([^%z]*)$'
local function parse_wishes(text)
  local key, unique, mode, expires, deadline, dependency, tags, batch = string.match(text, WISHES)
  local replace = string.sub(mode, 1, 1) == '+'
  return {
    key = key, unique = unique, mode = replace and string.sub(mode, 2) or mode, replace = replace,
    expires = tonumber(expires), deadline = tonumber(deadline), dependency = dependency, tags = tags, batch = batch,
  }
end

-- Keep what a new job has besides.
local function keep_traits(q, id, wishes)
  if wishes.key == '' and wishes.unique == '' and wishes.dependency == '' and wishes.tags == '' then
    return
  end
  wishes.id = id
  set_traits(q, wishes)
  for _, member in ipairs(tag_members(wishes)) do
    redis.call('ZADD', q.tags, 0, member)
  end
end

-- A job that waits is replaced by a newer one with the same unique key. False: it doesn't wait (any more).
local function replaced(q, id)
  if redis.call('ZREM', q.ready, id) + redis.call('ZREM', q.scheduled, id) == 0 and not unparked(q, id) then
    return false
  end
  pass_turn(q, {id})
  tell_batches(q, {id}, 'discarded')
  forget(q, {id})
  redis.call('HINCRBY', q.counts, 'discarded', 1)
  return true
end

-- Take the unique key for `id`. Returns the id of the job that has it, if another one does.
local function claim_unique(q, id, wishes)
  local holder = redis.call('HGET', q.unique, wishes.unique)
  if holder then
    local _, other = string.match(holder, '^(%S+) (.*)$')
    local ends = redis.call('ZSCORE', q.expires, 'unique\0' .. wishes.unique)
    if other ~= id and not (ends and tonumber(ends) <= now) then
      if not (wishes.replace and (replaced(q, other) or redis.call('ZSCORE', q.active, other))) then
        return other
      end
    end
  end
  local ttl = tonumber(wishes.mode)
  redis.call('HSET', q.unique, wishes.unique, (ttl and 'time' or wishes.mode) .. ' ' .. id)
  if ttl then
    redis.call('ZADD', q.expires, now + ttl, 'unique\0' .. wishes.unique)
  else
    redis.call('ZREM', q.expires, 'unique\0' .. wishes.unique)
  end
end

-- The tick at which a job takes its turn when the keys of a queue take turns: start-time fair queueing. Each job of a key
-- stands a quantum, divided by the key's weight, behind the one before; a key that was away starts where the queue is now.
local QUANTUM = 1000
local function fair_tick(q, policy, priority, key, tick)
  local field = priority .. '\0' .. key
  local turn = tonumber(redis.call('HGET', q.fair, priority .. '\0turn')) or tick
  local own = math.max(turn, tonumber(redis.call('HGET', q.fair, field)) or 0)
  local weight = tonumber(policy['weight:' .. key]) or 1
  redis.call('HSET', q.fair, field, exact(own + math.max(1, QUANTUM / weight)))
  if own == tick then
    redis.call('HSETNX', q.fair, priority .. '\0turn', exact(tick))
  end
  return own
end

-- Bytes of an envelope from which on its queue's fetches are measured: a thousand smaller ones fit into one.
local LARGE = 4096

-- New jobs enter a queue. `jobs` is a list of {id, envelope, priority, delay in ms, wishes}. A job whose id is known, in
-- whatever state, is left alone. `me` is the worker that calls, if one does.
-- Returns how many were new, and a flat list of {index, id} of jobs that stand in the way of a unique one, or that are known and
-- in another batch.
local function arrive(q, jobs, me)
  local fresh, seen, taken = {}, {}, {}
  for at = 1, #jobs, 1000 do
    local ids = {}
    for i = at, math.min(at + 999, #jobs) do
      ids[#ids + 1] = jobs[i][1]
    end
    local known = redis.call('HMGET', q.jobs, unpack(ids))
    for i = 1, #ids do
      local job = jobs[at + i - 1]
      if known[i] or seen[ids[i]] then
        local batch = job[5] ~= '' and parse_wishes(job[5]).batch or ''
        if batch ~= '' and not join(q, ids[i], batch) then
          taken[#taken + 1] = at + i - 1
          taken[#taken + 1] = ids[i]
        end
      else
        local other
        if job[5] ~= '' then
          job.wishes = parse_wishes(job[5])
          other = job.wishes.unique ~= '' and claim_unique(q, ids[i], job.wishes)
        end
        if other then
          taken[#taken + 1] = at + i - 1
          taken[#taken + 1] = other
        else
          seen[ids[i]] = true
          fresh[#fresh + 1] = job
        end
      end
    end
  end
  if #fresh == 0 then
    return 0, taken
  end

  local policy = read_policy(q)
  rouse(q, policy)
  local band = band_of(policy.ageing)
  local tick = math.max(now_tick, (tonumber(redis.call('HGET', q.counts, 'tick') or 0)) + 1)
  local soonest
  local large = false
  for at = 1, #fresh, 1000 do
    local envelopes, ready, scheduled = {}, {}, {}
    for i = at, math.min(at + 999, #fresh) do
      local id, envelope, priority, delay = unpack(fresh[i])
      large = large or #envelope > LARGE
      local wishes = fresh[i].wishes
      local turn = tick
      if wishes then
        keep_traits(q, id, wishes)
        if wishes.batch ~= '' then
          redis.call('HSET', q.batched, id, wishes.batch)
        end
        if wishes.expires then
          redis.call('ZADD', q.expires, now + wishes.expires, 'job\0' .. id)
        end
        if wishes.deadline then
          redis.call('ZADD', q.expires, now + wishes.deadline, 'deadline\0' .. id)
        end
        if policy.fair == '1' and delay <= 0 and wishes.key ~= '' then
          turn = fair_tick(q, policy, priority, wishes.key, tick)
        end
      end
      envelopes[#envelopes + 1] = id
      envelopes[#envelopes + 1] = envelope
      if delay > 0 then
        local due = now + delay
        scheduled[#scheduled + 1] = with_priority(due, priority)
        scheduled[#scheduled + 1] = id
        soonest = math.min(soonest or due, due)
      else
        ready[#ready + 1] = priority * band + turn
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
  if large then
    redis.call('HSET', q.counts, 'large', '1')
  end
  redis.call('HINCRBY', q.counts, 'accepted', #fresh)
  if soonest and not is_watched(q, soonest, me) then
    wake(q)
  end
  return #fresh, taken
end
