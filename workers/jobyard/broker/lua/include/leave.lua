-- How a job leaves `active`, or is ended before it comes there.

-- A failed attempt counts in the group of failures that are the same. Those that were seen last are kept.
local MOST_GROUPS, MOST_ACTORS = 500, 10
local function note_failure(q, id, detail)
  local group = string.match(detail, '^{"group":"(%w+)"')
  local well, said = pcall(cjson.decode, detail)
  if not group or not well then
    return
  end
  local known, record = pcall(cjson.decode, redis.call('HGET', q.failures, group) or '{}')
  if not known or type(record) ~= 'table' then
    record = {}
  end
  for _, name in ipairs({'error', 'place', 'template', 'image'}) do
    record[name] = type(said[name]) == 'string' and said[name] or record[name]
  end
  record.template = record.template or type(said.message) == 'string' and said.message or nil
  record.count = (tonumber(record.count) or 0) + 1
  record.first_seen = tonumber(record.first_seen) or now
  record.sample = id
  -- In clear; of an encrypted job its head has it, after the key's name.
  local envelope = redis.call('HGET', q.jobs, id) or ''
  local actor = string.match(envelope, '^%["([^"\\]+)"') or string.match(envelope, '^=[^\n]*\n%["([^"\\]+)"')
    or string.match(envelope, '^%*%d+ %["[^"]*","([^"\\]+)"')
  local actors, new = type(record.actors) == 'table' and record.actors or {}, actor ~= nil
  for _, name in ipairs(actors) do
    new = new and name ~= actor
  end
  if new and #actors < MOST_ACTORS then
    actors[#actors + 1] = actor
  end
  record.actors = #actors > 0 and actors or nil -- An empty table would be written as an object.
  local written, text = pcall(cjson.encode, record)
  if not written then
    return -- The record was damaged by somebody. An attempt ends all the same.
  end
  redis.call('HSET', q.failures, group, text)
  redis.call('ZADD', q.failures_seen, now, group)
  local excess = redis.call('ZCARD', q.failures_seen) - MOST_GROUPS
  if excess > 0 then
    for _, old in ipairs(redis.call('ZRANGE', q.failures_seen, 0, excess - 1)) do
      redis.call('HDEL', q.failures, old, old .. ' dead')
      redis.call('ZREM', q.failures_seen, old)
    end
  end
end

-- A job is dead now: it counts in the group of its last error.
local function note_death(q, id)
  local errors = redis.call('HGET', q.errors, id) or ''
  local group = string.match(string.match(errors, '^.*\n(.*)') or errors, '"group":"(%w+)"')
  if group then
    redis.call('HSET', q.letters, id, group)
    if redis.call('HEXISTS', q.failures, group) == 1 then
      redis.call('HINCRBY', q.failures, group .. ' dead', 1)
    end
  end
end

-- One failed attempt, kept for people: `detail` is a JSON object with at least one member; the times are the server's.
-- The first attempts and the last ones are kept, since those tell the story.
local KEEP_FIRST, KEEP_LAST = 5, 20
local function remember_error(q, id, attempt, started, detail)
  local entry = '{"attempt":' .. attempt .. ',"started_at":' .. started .. ',"ended_at":' .. exact(now) .. ','
    .. string.sub(detail, 2)
  local lines = {}
  for line in string.gmatch(redis.call('HGET', q.errors, id) or '', '[^\n]+') do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = entry
  if #lines > KEEP_FIRST + KEEP_LAST then
    table.remove(lines, KEEP_FIRST + 1)
  end
  redis.call('HSET', q.errors, id, table.concat(lines, '\n'))
  note_failure(q, id, detail)
end

-- Tell those who wait for the end of a job.
local function announce(q, ids)
  if redis.call('SCARD', q.waiting) == 0 then
    return
  end
  for i = 1, #ids do
    if redis.call('SREM', q.waiting, ids[i]) == 1 then
      redis.call('PUBLISH', q.waiting .. ':' .. ids[i], '1')
    end
  end
end

local function parse_run(run)
  local caller, call, attempt, started, position = string.match(run, '^(%S+) (%S+) (%d+) (%d+) (%S+)$')
  return {caller = caller, call = call, attempt = tonumber(attempt), started = started, position = position}
end

local function leave_active(q, ids)
  redis.call('ZREM', q.active, unpack(ids))
  probes_left(q, ids)
  if free_slots(q, ids) > 0 then
    wake(q)
  end
end

-- `active`: it runs now; otherwise it was waiting or (`parked`) parked, and has been taken from there.
local function cancel_now(q, id, active, parked)
  if active then
    leave_active(q, {id})
  elseif not parked then
    pass_turn(q, {id})
  end
  release_unique(q, {id}, 'end')
  redis.call('HDEL', q.cancels, id)
  redis.call('ZADD', q.cancelled, now, id)
  redis.call('HINCRBY', q.counts, 'cancelled', 1)
  tell_batches(q, {id}, 'cancelled')
  announce(q, {id})
end

-- A job ends as a dead letter since its time is over. `active` and `parked`: as above. `detail` is the error; nil: it is known.
local function bury_late(q, id, detail, active, parked)
  local run = redis.call('HGET', q.runs, id)
  run = run and parse_run(run)
  if detail then
    remember_error(q, id, run and run.attempt or 0, active and run.started or exact(now), detail)
  end
  if active then
    leave_active(q, {id})
  elseif not parked then
    pass_turn(q, {id})
  end
  release_unique(q, {id}, 'end')
  redis.call('HDEL', q.cancels, id)
  redis.call('ZADD', q.dead, with_priority(now, priority_of(redis.call('HGET', q.jobs, id))), id)
  note_death(q, id)
  redis.call('HINCRBY', q.counts, 'failed', 1)
  tell_batches(q, {id}, 'dead')
  announce(q, {id})
end

-- If an active job was asked to stop, it ends now, as what was asked says.
local function ended_as_asked(q, id)
  local asked = redis.call('HGET', q.cancels, id)
  if not asked then
    return false
  end
  if string.find(asked, ' deadline', 1, true) then
    bury_late(q, id, TOO_LATE, true)
  else
    cancel_now(q, id, true)
  end
  return true
end

-- Back to its old position. `counted`: the attempt that just ended counts; otherwise the job is returned as if it had not run.
local function put_back(q, id, run, counted)
  if ended_as_asked(q, id) then
    return
  end
  leave_active(q, {id})
  if not counted then
    redis.call('HSET', q.runs, id, table.concat({'-', '-', run.attempt - 1, run.started, run.position}, ' '))
    redis.call('HINCRBY', q.counts, 'returned', 1)
  end
  redis.call('ZADD', q.ready, run.position, id)
end

-- The lease of these jobs ran out, or their worker is known to be dead: they run again, and the attempt counts. The first
-- time at once; after that with a growing pause (1 s, 2 s, 4 s … a minute), since the job itself may be what kills workers.
local function recover(q, ids, detail)
  local runs = redis.call('HMGET', q.runs, unpack(ids))
  for i = 1, #ids do
    local id, run = ids[i], parse_run(runs[i])
    remember_error(q, id, run.attempt, run.started, detail)
    put_back(q, id, run, true)
    if run.attempt > 1 and redis.call('ZREM', q.ready, id) == 1 then
      local due = now + 1000 * math.min(2 ^ (run.attempt - 2), 60)
      redis.call('ZADD', q.scheduled, with_priority(due, priority_of(redis.call('HGET', q.jobs, id))), id)
    end
  end
  redis.call('HINCRBY', q.counts, 'recovered', #ids)
end
