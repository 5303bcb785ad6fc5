#!lua flags=no-writes,allow-oom
-- What the operator wants to know of one queue, read at one instant. A delayed job that is due counts as waiting, since it is only
-- a worker that has not looked: there may be none.
--   KEYS  the queue's keys
--   ARGV  1: horizon in ms
--   Reply {now in ms, waiting, active, orphaned, parked, delayed, due within the horizon, next due time in ms or 0,
--         since when the job that has waited longest could start in ms or 0, mean age of running jobs in ms, dead,
--         paused ('1'), held (why) or '', memory or '', digest of the policy or '', counts as a flat list,
--         tokens of workers and how many jobs each has, as a flat list}
--@include queue
--@include clock
--@include position
local MOST_PRIORITIES, MOST_ACTIVE, MOST_SAMPLED, PAGE = 16, 10000, 100, 1000
local q = queue_at(1)
local horizon = tonumber(ARGV[1])
local paused, held, ageing, fair = unpack(redis.call('HMGET', q.policy, 'paused', 'held', 'ageing', 'fair'))

-- What waits, and since when --------------------------------------------------------------------------------------------
local oldest
local function note(since)
  oldest = math.min(oldest or since, since)
end

-- Since when (in ms) a job in `ready` could start. Its position says when it came, or was due. What was started and given back,
-- or recovered, is at its old position and waits since then at the earliest. Where keys take turns, a position is a turn and not a
-- time: then what counts is when the job was created.
local function since(id, position)
  position = tonumber(position)
  local band, priority = STRICT, math.floor(position / STRICT)
  if priority == 0 and band_of(ageing) ~= STRICT then
    band, priority = band_of(ageing), priority_of(redis.call('HGET', q.jobs, id))
  end
  local came = EPOCH * 1000 + (position - priority * band) / 100
  if fair == '1' and redis.call('HEXISTS', q.traits, id) == 1 then
    came = tonumber(string.match(redis.call('HGET', q.jobs, id) or '', ',%s*(%d+),%s*%d+%s*%]$') or came)
  end
  local started = string.match(redis.call('HGET', q.runs, id) or '', '^%S+ %S+ %d+ (%d+) ')
  return math.max(came, tonumber(started) or 0)
end

local from = '-inf'
for _ = 1, MOST_PRIORITIES do
  local first = redis.call('ZRANGEBYSCORE', q.ready, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not first[1] then
    break
  end
  note(since(first[1], first[2]))
  if band_of(ageing) ~= STRICT then
    break -- Priorities are not apart.
  end
  -- Strict priorities: each has its own first job, and that of a low one may have waited for longest.
  from = exact((math.floor(tonumber(first[2]) / STRICT) + 1) * STRICT)
end

local coming = exact(now + 1)
local overdue = redis.call('ZCOUNT', q.scheduled, '-inf', '(' .. coming)
if overdue > 0 then
  note((split_priority(redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')[2])))
end
local next_due = redis.call('ZRANGEBYSCORE', q.scheduled, coming, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]

-- What runs, and with whom ----------------------------------------------------------------------------------------------
-- In the order in which leases end, so the orphaned ones come first.
local orphaned, active = redis.call('ZCOUNT', q.active, '-inf', exact(now)), redis.call('ZCARD', q.active)
local step = math.max(1, math.ceil((math.min(active, MOST_ACTIVE) - orphaned) / MOST_SAMPLED))
local workers, ages, sampled = {}, 0, 0
for first = 0, math.min(active, MOST_ACTIVE) - 1, PAGE do
  local ids = redis.call('ZRANGE', q.active, first, math.min(first + PAGE, MOST_ACTIVE) - 1)
  for i, run in ipairs(redis.call('HMGET', q.runs, unpack(ids))) do
    if run then
      local token = string.sub(run, 1, string.find(run, ' ', 1, true) - 1)
      workers[token] = (workers[token] or 0) + 1
      local place = first + i - 1 - orphaned
      if place >= 0 and place % step == 0 then
        ages, sampled = ages + math.max(0, now - tonumber(string.match(run, '^%S+ %S+ %d+ (%d+) '))), sampled + 1
      end
    end
  end
end
local held_by = {}
for token, count in pairs(workers) do
  held_by[#held_by + 1] = token
  held_by[#held_by + 1] = count
end

local memory, digest = unpack(redis.call('HMGET', q.operator, 'memory', 'policy'))
return {
  now, redis.call('ZCARD', q.ready) + overdue, active - orphaned, orphaned, redis.call('ZCARD', q.parked),
  redis.call('ZCARD', q.scheduled) - overdue,
  redis.call('ZCOUNT', q.scheduled, coming, '(' .. exact(now + horizon + 1)), next_due and math.floor(tonumber(next_due)) or 0,
  oldest and math.floor(oldest) or 0, sampled > 0 and math.floor(ages / sampled) or 0, redis.call('ZCARD', q.dead),
  paused or '', held or '', memory or '', digest or '', redis.call('HGETALL', q.counts), held_by,
}
