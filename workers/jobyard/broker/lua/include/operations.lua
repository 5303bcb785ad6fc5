-- What a caller says of the jobs that it holds: the first part of an exchange. `at` runs through ARGV.
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
-- Queues, by number, of which this caller has just put a job off without having tried it: it must not be the one to wait for
-- that job, or it would be the only one that is ever offered it.
local put_off = {}

function operations.logs(_, q)
  keep_logs(q, caller, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  at = at + 4
end

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
    local k = from + 6 * j
    local i = tonumber(ARGV[k])
    by_queue[i] = by_queue[i] or {}
    table.insert(by_queue[i], {ARGV[k + 1], ARGV[k + 2], tonumber(ARGV[k + 3]), tonumber(ARGV[k + 4]), ARGV[k + 5]})
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
  at = followers + 6 * n
  local mine, runs = held(q, {id}, {its_call})
  if #mine == 0 then
    return
  end
  local run = parse_run(runs[1])
  if string.sub(outcome, -1) == '+' then
    outcome = string.sub(outcome, 1, -2)
    dependency_failed(q, policy_of(i), id, detail)
  end
  follow(followers, n)
  -- No further attempt could start before its deadline.
  local late = (outcome == 'retry' or outcome == 'later') and is_over(q, id, now + delay)
  if late and detail ~= '' then
    detail = string.sub(detail, 1, -2) .. ',"deadline":true}'
  end
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
    leave_active(q, {id})
    release_unique(q, {id}, 'end')
    redis.call('HDEL', q.cancels, id)
    redis.call('ZADD', q.dead, with_priority(now, priority), id)
    note_death(q, id)
    redis.call('HINCRBY', q.counts, 'failed', 1)
    tell_batches(q, {id}, 'dead')
    return announce(q, {id})
  end
  if ended_as_asked(q, id) then
    return
  end
  if outcome == 'cancelled' then
    return cancel_now(q, id, true)
  end
  if late then
    return bury_late(q, id, detail == '' and TOO_LATE or nil, true)
  end
  if outcome == 'retry' then
    redis.call('HINCRBY', q.counts, 'retried', 1)
  else
    put_off[i] = true
  end
  leave_active(q, {id})
  redis.call('ZADD', q.scheduled, with_priority(now + delay, priority), id)
  if not is_watched(q, now + delay, caller) then
    wake(q)
  end
end
