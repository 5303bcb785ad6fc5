#!lua flags=allow-oom
-- Finish what is done and fetch what comes next, for all of a worker's queues, in one call.
--   KEYS  1: the caller's call number; then the keys of each queue
--   ARGV  1: call number        2: caller          3: lease in ms      4: how many jobs are wanted (0: only finish)
--         5: how many of the queues, from the first, to fetch from     6: how many queues there are
--         then operations, each with the number of its queue (from 1) and, for each job, the call that fetched it:
--           done Q COUNT (ID CALL RESULT)...      completed; RESULT '' is none
--           back Q COUNT (ID CALL)...             not started: to its old position, the attempt doesn't count
--           end  Q ID CALL OUTCOME PRIORITY DELAY DETAIL RESULT ENVELOPE COUNT (Q ID ENVELOPE PRIORITY DELAY)...
--             OUTCOME completed | retry (in DELAY ms) | later (the same, but the attempt doesn't count) | cancelled | dead
--                     | spent (dead, but it was not run: the attempt doesn't count)
--             DETAIL  the error as a JSON object, or ''       ENVELOPE  the job's new envelope, or '': unchanged
--             then the jobs that follow from this one: they are accepted together with its end, or not at all
--   Reply {now in ms, wait in ms, dead letters evicted, stale operations, then for each job: queue, id, attempt, envelope}
--         wait: how long an idle caller may block at most before it asks again; 0: until it is woken
-- Fenced: an operation on a job that this caller's call no longer holds changes nothing and is counted as stale.
-- Sent twice (the reply was lost), it finishes nothing twice and gives the same jobs again.
--@include once
--@include queue
--@include clock
--@include position
--@include wake
--@include arrive
--@include retention
--@include leave
--@include complete
local call, caller, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local want, fetching, count = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local queues = {}
for i = 1, count do
  queues[i] = queue_at(2 + (i - 1) * #FIELDS)
end
local reply = {now, 0, 0, 0}

local function give(i, id, attempt, envelope)
  reply[#reply + 1] = i
  reply[#reply + 1] = id
  reply[#reply + 1] = attempt
  reply[#reply + 1] = envelope or ''
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
  return reply
end

-- 1. Finish ---------------------------------------------------------------------------------------------------------
local policies = {}
local function policy_of(i)
  policies[i] = policies[i] or read_policy(queues[i])
  return policies[i]
end

-- Those of `ids` that the caller holds by the given calls, with their runs.
local function held(q, ids, calls)
  local leases = redis.call('ZMSCORE', q.active, unpack(ids))
  local runs = redis.call('HMGET', q.runs, unpack(ids))
  local mine, fences = {}, {}
  for i = 1, #ids do
    local fence = fences[calls[i]]
    if not fence then
      fence = caller .. ' ' .. calls[i] .. ' '
      fences[calls[i]] = fence
    end
    if leases[i] and runs[i] and string.sub(runs[i], 1, #fence) == fence then
      mine[#mine + 1] = i
    end
  end
  reply[4] = reply[4] + #ids - #mine
  return mine, runs
end

local at = 7
local operations = {}

function operations.done(i, q)
  local ids, calls, given = {}, {}, {}
  local n = tonumber(ARGV[at])
  for j = 1, n do
    ids[j], calls[j], given[j] = ARGV[at + 3 * j - 2], ARGV[at + 3 * j - 1], ARGV[at + 3 * j]
  end
  at = at + 1 + 3 * n
  local mine, results = {}, {}
  for _, j in ipairs((held(q, ids, calls))) do
    mine[#mine + 1] = ids[j]
    if given[j] ~= '' then
      results[#results + 1] = ids[j]
      results[#results + 1] = given[j]
    end
  end
  if #mine > 0 then
    complete(q, policy_of(i), mine, results)
  end
end

function operations.back(i, q)
  local ids, calls = {}, {}
  local n = tonumber(ARGV[at])
  for j = 1, n do
    ids[j], calls[j] = ARGV[at + 2 * j - 1], ARGV[at + 2 * j]
  end
  at = at + 1 + 2 * n
  local mine, runs = held(q, ids, calls)
  for _, j in ipairs(mine) do
    put_back(q, ids[j], parse_run(runs[j]), false)
  end
  if #mine > 0 then
    wake(q)
  end
end

local function follow(from, n)
  local by_queue = {}
  for j = 0, n - 1 do
    local k = from + 5 * j
    local i = tonumber(ARGV[k])
    by_queue[i] = by_queue[i] or {}
    table.insert(by_queue[i], {ARGV[k + 1], ARGV[k + 2], tonumber(ARGV[k + 3]), tonumber(ARGV[k + 4])})
  end
  for i, jobs in pairs(by_queue) do
    arrive(queues[i], jobs, caller)
  end
end

operations['end'] = function(i, q)
  local id, its_call, outcome, priority, delay, detail, result, envelope, n =
    ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), ARGV[at + 5], ARGV[at + 6],
    ARGV[at + 7], tonumber(ARGV[at + 8])
  local followers = at + 9
  at = followers + 5 * n
  local mine, runs = held(q, {id}, {its_call})
  if #mine == 0 then
    return
  end
  local run = parse_run(runs[1])
  follow(followers, n)
  if detail ~= '' then
    remember_error(q, id, run.attempt, run.started, detail)
  end
  if envelope ~= '' then
    redis.call('HSET', q.jobs, id, envelope)
  end
  if outcome == 'completed' then
    return complete(q, policy_of(i), {id}, result == '' and {} or {id, result})
  end
  if result ~= '' then
    redis.call('HSET', q.results, id, result)
  end
  if outcome == 'later' or outcome == 'spent' then
    redis.call('HSET', q.runs, id, table.concat({'-', '-', run.attempt - 1, run.started, run.position}, ' '))
  end
  if outcome == 'dead' or outcome == 'spent' then
    redis.call('ZREM', q.active, id)
    redis.call('HDEL', q.cancels, id)
    redis.call('ZADD', q.dead, with_priority(now, priority), id)
    redis.call('HINCRBY', q.counts, 'failed', 1)
    return announce(q, {id})
  end
  if outcome == 'cancelled' or redis.call('HDEL', q.cancels, id) == 1 then
    return cancel_now(q, id)
  end
  if outcome == 'retry' then
    redis.call('HINCRBY', q.counts, 'retried', 1)
  end
  redis.call('ZREM', q.active, id)
  redis.call('ZADD', q.scheduled, with_priority(now + delay, priority), id)
  if not is_watched(q, now + delay, caller) then
    wake(q)
  end
end

while at <= #ARGV do
  local operation, i = operations[ARGV[at]], tonumber(ARGV[at + 1])
  at = at + 2
  operation(i, queues[i])
end
if want == 0 then
  return reply
end

-- 2. Look after each queue: expired leases, due jobs, retention -----------------------------------------------------
-- A lease is renewed when a third of it is over, and an idle worker asks as often. So after a silence of half a lease nobody
-- could speak to Redis, and leases may have run out for no other reason: then workers get this long to come back with what
-- they have, before their jobs are taken for abandoned.
local GRACE = 5000

local function grace_of(q)
  local seen, grace = unpack(redis.call('HMGET', q.counts, 'seen', 'grace'))
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

local graces = {}
for i = 1, fetching do
  local q, policy = queues[i], policy_of(i)
  graces[i] = grace_of(q)
  if graces[i] <= now then
    local expired = redis.call('ZRANGEBYSCORE', q.active, '-inf', now, 'LIMIT', 0, 100)
    if #expired > 0 then
      recover(q, expired, '{"error":"LeaseExpired","message":"the worker stopped renewing its lease"}')
    end
  end

  local due = redis.call('ZRANGEBYSCORE', q.scheduled, '-inf', '(' .. now + 1, 'WITHSCORES', 'LIMIT', 0, 500)
  if #due > 0 then
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

  trim(q, 'completed', policy)
  trim(q, 'cancelled', policy)
  local evicted = trim(q, 'dead', policy)
  if evicted > 0 then
    redis.call('HINCRBY', q.counts, 'evicted', evicted)
    reply[3] = reply[3] + evicted
  end
end

-- 3. Fetch: the best positions over all queues ----------------------------------------------------------------------
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
  return attempts, envelopes
end

local open, ageing = {}, 0
for i = 1, fetching do
  if policies[i].paused ~= '1' and redis.call('EXISTS', queues[i].ready) == 1 then
    open[#open + 1] = i
    ageing = math.max(ageing, tonumber(policies[i].ageing) or 0)
  end
end

local function split(rows)
  local ids, positions = {}, {}
  for j = 1, #rows, 2 do
    ids[#ids + 1] = rows[j]
    positions[#positions + 1] = rows[j + 1]
  end
  return ids, positions
end

if #open == 1 then
  local i = open[1]
  local ids, positions = split(redis.call('ZPOPMIN', queues[i].ready, want))
  local attempts, envelopes = start(i, ids, positions)
  for j = 1, #ids do
    give(i, ids[j], attempts[j], envelopes[j])
  end
elseif #open > 1 then
  local heads, taken, order = {}, {}, {}
  for k, i in ipairs(open) do
    local ids, positions = split(redis.call('ZRANGE', queues[i].ready, 0, want - 1, 'WITHSCORES'))
    heads[k], taken[k] = {ids = ids, positions = positions, position = comparable(positions[1], ageing)}, 0
  end
  for _ = 1, want do
    local best, best_position
    for k, head in ipairs(heads) do
      local position = head.position
      if position and (not best or position < best_position) then
        best, best_position = k, position
      end
    end
    if not best then
      break
    end
    local head = heads[best]
    taken[best] = taken[best] + 1
    head.position = comparable(head.positions[taken[best] + 1], ageing)
    order[#order + 1] = best
  end
  for k, i in ipairs(open) do
    local head = heads[k]
    if taken[k] > 0 then
      head.ids = {unpack(head.ids, 1, taken[k])}
      redis.call('ZREM', queues[i].ready, unpack(head.ids))
      head.attempts, head.envelopes = start(i, head.ids, head.positions)
    end
    taken[k] = 0
  end
  for _, k in ipairs(order) do
    local head, j = heads[k], taken[k] + 1
    taken[k] = j
    give(open[k], head.ids[j], head.attempts[j], head.envelopes[j])
  end
end

-- 4. Who looks next: call another worker if there is more, or see to it that somebody waits for the next due time ----
local found = #reply > 4
for i = 1, fetching do
  local q = queues[i]
  if policies[i].paused ~= '1' then
    if redis.call('EXISTS', q.ready) == 1 then
      wake(q)
    end
    local delayed = redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')[2]
    local leased = redis.call('ZRANGE', q.active, 0, 0, 'WITHSCORES')[2]
    local due = delayed and math.floor(tonumber(delayed))
    if leased then
      due = math.min(due or math.huge, math.max(tonumber(leased), graces[i]))
    end
    if due and not is_watched(q, due, caller) then
      if found then
        wake(q)
      else
        local wait = math.max(1, due - now)
        redis.call('SET', q.timer, exact(due) .. ' ' .. caller, 'PX', math.min(wait, 86400000) + 500)
        reply[2] = reply[2] == 0 and wait or math.min(reply[2], wait)
      end
    end
  end
end
return reply
