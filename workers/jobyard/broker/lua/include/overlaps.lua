-- What becomes of the tick of a schedule when it is due and the job of an earlier one has not ended. `operator` holds for it
--   tick:ID     uid of the schedule, and its policy: skip, buffer or replace. Until the job has come in once.
--   last:UID    id of the job that came in last
--   held:UID    id of the job that waits for that one (buffer)
--   skipped:ID  that job was skipped; until somebody has noted it
-- Jobs of schedules that allow overlaps have nothing here, and queues that have no other ones are without the flag `overlaps` in
-- their policy HASH, which every fetch reads in any case.
local LOOK_AGAIN = 1000

local function has_ended(q, id)
  return redis.call('HEXISTS', q.jobs, id) == 0 or redis.call('ZSCORE', q.completed, id) or redis.call('ZSCORE', q.dead, id)
    or redis.call('ZSCORE', q.cancelled, id)
end

-- A tick that is due is not run.
local function skip_tick(q, id)
  redis.call('ZREM', q.scheduled, id)
  tell_batches(q, {id}, 'discarded')
  forget(q, {id})
  redis.call('HINCRBY', q.counts, 'discarded', 1)
  announce(q, {id})
  redis.call('HDEL', q.operator, 'tick:' .. id)
  redis.call('HSET', q.operator, 'skipped:' .. id, exact(now))
end

-- The job of an earlier tick makes room for that of a later one.
local function replace_tick(q, id)
  if redis.call('ZREM', q.ready, id) + redis.call('ZREM', q.scheduled, id) > 0 then
    cancel_now(q, id, false)
  elseif unparked(q, id) then
    cancel_now(q, id, false, true)
  elseif redis.call('HSETNX', q.cancels, id, exact(now)) == 1 then
    -- It runs. As keys.py names a worker's channel. Only a nudge: its next renewal tells the worker in any case.
    local namespace = string.match(q.jobs, '^(.-):{')
    redis.call('PUBLISH', namespace .. ':worker:' .. parse_run(redis.call('HGET', q.runs, id)).caller, 'cancel')
  end
end

-- `due` is a flat list of ids and scores, of delayed jobs that are due, in order. Returns those that come in, in the same form.
local function let_in(q, policy, due)
  local names, places = {}, {}
  for j = 1, policy.overlaps and #due or 0, 2 do
    -- Only a UUID that was made from something, which those of ordinary jobs are not, can be a tick's.
    if string.byte(due[j], 15) == 53 then
      names[#names + 1] = 'tick:' .. due[j]
      places[#places + 1] = j
    end
  end
  if #names == 0 then
    return due
  end
  local out
  for i, tick in ipairs(redis.call('HMGET', q.operator, unpack(names))) do
    if tick then
      local id, score = due[places[i]], due[places[i] + 1]
      local uid, way = string.match(tick, '^(%S+) (%a+)$')
      local last = redis.call('HGET', q.operator, 'last:' .. uid)
      local held = way == 'buffer' and redis.call('HGET', q.operator, 'held:' .. uid)
      out = out or {}
      if last and last ~= id and not has_ended(q, last) and way ~= 'replace' then
        out[id] = true
        if way == 'buffer' and (not held or held == id or has_ended(q, held)) then
          local _, priority = split_priority(score)
          redis.call('HSET', q.operator, 'held:' .. uid, id)
          redis.call('ZADD', q.scheduled, with_priority(now + LOOK_AGAIN, priority), id)
        else
          skip_tick(q, id)
        end
      elseif held and held ~= id and not has_ended(q, held) then
        -- Another one has waited for longer.
        out[id] = true
        skip_tick(q, id)
      else
        if last and last ~= id and not has_ended(q, last) then
          out[last] = true
          replace_tick(q, last)
        end
        redis.call('HSET', q.operator, 'last:' .. uid, id)
        redis.call('HDEL', q.operator, 'tick:' .. id, 'held:' .. uid)
      end
    end
  end
  if not out then
    return due
  end
  local rest = {}
  for j = 1, #due, 2 do
    if not out[due[j]] then
      rest[#rest + 1] = due[j]
      rest[#rest + 1] = due[j + 1]
    end
  end
  return rest
end
