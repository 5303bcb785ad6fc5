#!lua flags=allow-oom
-- Finish what is done and fetch what comes next, for all of a worker's queues, in one call.
--   KEYS  1: the caller's call number; then the keys of each queue
--   ARGV  1: call number        2: caller          3: lease in ms      4: how many jobs are wanted (0: only finish)
--         5: how many of the queues, from the first, to fetch from     6: how many queues there are
--         then operations, each with the number of its queue (from 1) and, for each job, the call that fetched it:
--           logs Q ID CALL FIRST LINES            what a job has logged, see log.lua
--           done Q COUNT (ID CALL RESULT)...      completed; RESULT '' is none
--           back Q COUNT (ID CALL)...             not started: to its old position, the attempt doesn't count
--           end  Q ID CALL OUTCOME PRIORITY DELAY DETAIL RESULT ENVELOPE COUNT (Q ID ENVELOPE PRIORITY DELAY WISHES)...
--             OUTCOME completed | retry (in DELAY ms) | later (the same, but the attempt doesn't count) | cancelled | dead
--                     | spent (dead, but it was not run: the attempt doesn't count)
--                     | retry+ | dead+ (the same, and it counts against the dependency of the job)
--             DETAIL  the error as a JSON object, or ''       ENVELOPE  the job's new envelope, or '': unchanged
--             then the jobs that follow from this one: they are accepted together with its end, or not at all
--   Reply {now in ms, wait in ms, dead letters evicted, stale operations, numbers of queues that have notices for batches,
--         numbers of queues of which this caller gets no new jobs for now (see retire.lua),
--         then for each job: queue, id, attempt, envelope}
--         wait: how long an idle caller may block at most before it asks again; 0: until it is woken
-- Fenced: an operation on a job that this caller's call no longer holds changes nothing and is counted as stale.
-- Sent twice (the reply was lost), it finishes nothing twice and gives the same jobs again.
--@include once
--@include queue
--@include clock
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include rates
--@include arrive
--@include deadline
--@include breakers
--@include leave
--@include complete
--@include logs
--@include retired
--@include overlaps
local call, caller, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local want, fetching, count = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local queues = {}
for i = 1, count do
  queues[i] = queue_at(2 + (i - 1) * FIELDS)
end
local reply = {now, 0, 0, 0, '', ''}

local function give(i, id, attempt, envelope)
  reply[#reply + 1] = i
  reply[#reply + 1] = id
  reply[#reply + 1] = attempt
  reply[#reply + 1] = envelope or ''
end

-- Say which queues have something for batches; nobody else may come to see it soon.
local function answer()
  local posted = {}
  for i = 1, count do
    if queues[i].posted then
      posted[#posted + 1] = i
    end
  end
  reply[5] = table.concat(posted, ' ')
  return reply
end

-- The same call again: what it fetched is what its fence stands on.
if applied_before(KEYS[1], call) then
  local fence = caller .. ' ' .. call .. ' '
  for i = 1, fetching do
    local q = queues[i]
    for _, id in ipairs(redis.call('ZRANGE', q.active, 0, -1)) do
      local run = redis.call('HGET', q.runs, id)
      if run and string.sub(run, 1, #fence) == fence then
        give(i, id, parse_run(run).attempt, redis.call('HGET', q.jobs, id))
      end
    end
  end
  for i = 1, count do
    queues[i].posted = redis.call('EXISTS', queues[i].notices) == 1
  end
  return answer()
end

-- 1. Finish ---------------------------------------------------------------------------------------------------------
local policies = {}
local function policy_of(i)
  policies[i] = policies[i] or read_policy(queues[i])
  return policies[i]
end

--@include operations
while at <= #ARGV do
  local operation, i = operations[ARGV[at]], tonumber(ARGV[at + 1])
  at = at + 2
  operation(i, queues[i])
end
if want == 0 then
  -- Somebody else has to see to it that what these ends made room for is started.
  for i = 1, fetching do
    if #ARGV > 6 and policy_of(i).concurrency and redis.call('EXISTS', queues[i].ready) == 1 then
      wake(queues[i])
    end
  end
  return answer()
end

-- 2. Look after each queue ------------------------------------------------------------------------------------------
--@include care
for i = 1, fetching do
  look_after(i, queues[i], policy_of(i))
end

-- 3. Fetch ----------------------------------------------------------------------------------------------------------
--@include start
--@include limits
--@include choose
local open, ageing, limited = {}, 0, false
local retired = {}
for i = 1, fetching do
  local policy = policies[i]
  retired[i] = retired_until(queues[i], policy, caller)
  if not policy.stopped and not retired[i] and not overdue[i] and redis.call('EXISTS', queues[i].ready) == 1 then
    open[#open + 1] = i
    ageing = math.max(ageing, tonumber(policy.ageing) or 0)
    policy.limited = policy.limited or guarded[i]
    limited = limited or policy.limited
  end
end
if limited then
  from_limited(open, ageing)
elseif #open == 1 then
  from_one(open[1])
elseif #open > 1 then
  from_many(open, ageing)
end

-- 4. Who looks next: call another worker if there is more, or see to it that somebody waits for the next due time ----
local found = #reply > 6
for i = 1, fetching do
  local q = queues[i]
  if not policies[i].stopped then
    if not blocked[i] and redis.call('EXISTS', q.ready) == 1 then
      wake(q)
    end
    local delayed = redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')[2]
    local leased = redis.call('ZRANGE', q.active, 0, 0, 'WITHSCORES')[2]
    local due = delayed and math.floor(tonumber(delayed))
    if leased then
      due = math.min(due or math.huge, math.max(tonumber(leased), graces[i]))
    end
    if blocked[i] and blocked[i] < math.huge then
      due = math.min(due or math.huge, blocked[i])
    end
    if breakers_at[i] then
      due = math.min(due or math.huge, breakers_at[i])
    end
    local expires = redis.call('ZRANGE', q.expires, 0, 0, 'WITHSCORES')[2]
    if expires then
      due = math.min(due or math.huge, tonumber(expires))
    end
    if due and not is_watched(q, due, caller) then
      if found or put_off[i] or retired[i] then
        wake(q)
      else
        local wait = math.max(1, due - now)
        redis.call('SET', q.timer, exact(due) .. ' ' .. caller, 'PX', math.min(wait, 86400000) + 500)
        reply[2] = reply[2] == 0 and wait or math.min(reply[2], wait)
      end
    end
  end
  if retired[i] then
    reply[2] = reply[2] == 0 and retired[i] - now or math.min(reply[2], retired[i] - now)
    reply[6] = reply[6] .. i .. ' '
  end
end
return answer()
