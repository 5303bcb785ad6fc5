-- Dead letters of one queue are tried again, with all their attempts before them. Their errors stay.
--   KEYS  the queue's keys
--   ARGV  three for each job: id, delay in ms (0: now), new envelope or '' (unchanged)
--   Reply how many were dead and now wait
--@include queue
--@include clock
--@include position
--@include wake
--@include notices
--@include retention
local q = queue_at(1)
local band = band_of(redis.call('HGET', q.policy, 'ageing'))
local tick = math.max(now_tick, (tonumber(redis.call('HGET', q.counts, 'tick') or 0)) + 1)
local revived, soonest = 0, nil
for i = 1, #ARGV, 3 do
  local id, delay, envelope = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
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
  redis.call('HSET', q.counts, 'tick', exact(tick))
  redis.call('HINCRBY', q.counts, 'revived', revived)
  if soonest and not is_watched(q, soonest) then
    wake(q)
  end
end
return revived
