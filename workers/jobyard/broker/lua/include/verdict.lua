-- What has become of a batch as a whole, and whom that calls: each callback once, and none before all jobs are enqueued.
--   record  HASH what the batch is; how many of its jobs are completed, dead, cancelled, discarded; what was called when
--   jobs    HASH id → state, number of the notice that said so, queue; of a batch in this batch: its id, and @ and its home
--   added   HASH id → the job that adds it: entered, but perhaps not enqueued
local record, jobs, added = KEYS[1], KEYS[2], KEYS[3]
local ENDS = {'completed', 'dead', 'cancelled', 'discarded'}

-- A batch that is part of another one is completed or dead there, as if it were a job; pending, if it has not ended (any more).
local function tell_parent(q, batch, state)
  local parent, told = unpack(redis.call('HMGET', record, 'parent', 'told'))
  if parent and (told or 'pending') ~= state then
    redis.call('HSET', record, 'told', state)
    post(q, {table.concat({parent, state, batch}, '\0')})
  end
end

local function pass_verdict(q, batch)
  local sealed, total, failure, ended, keep =
    unpack(redis.call('HMGET', record, 'sealed', 'total', 'failure', 'ended', 'keep'))
  if not sealed then
    return
  end
  local notices = {}
  local function call_once(kind)
    if redis.call('HEXISTS', record, kind .. ':id') == 1
      and redis.call('HSETNX', record, 'called:' .. kind, exact(now)) == 1 then
      notices[#notices + 1] = table.concat({batch, 'call', kind}, '\0')
    end
  end
  local counts, gone = redis.call('HMGET', record, unpack(ENDS)), 0
  for i = 1, #ENDS do
    gone = gone + (tonumber(counts[i]) or 0)
  end
  if failure then
    call_once('failure')
  end
  if gone >= tonumber(total) then
    local succeeded = gone == (tonumber(counts[1]) or 0)
    if succeeded then
      call_once('success')
    end
    tell_parent(q, batch, succeeded and 'completed' or 'dead')
    call_once('complete')
    redis.call('HSETNX', record, 'ended', exact(now))
    for i = 1, 3 do
      redis.call('PEXPIRE', KEYS[i], keep)
    end
    redis.call('PUBLISH', record, 'ended')
  else
    redis.call('HDEL', record, 'ended')
    tell_parent(q, batch, 'pending')
    for i = 1, 3 do
      redis.call('PERSIST', KEYS[i])
    end
  end
  if #notices > 0 then
    post(q, notices)
  end
end

-- A job that was entered turns out not to be one of the batch.
local function leave_batch(id)
  local state = redis.call('HGET', jobs, id)
  if state and string.find(state, '^pending 0 ') then
    redis.call('HDEL', jobs, id)
    redis.call('HINCRBY', record, 'total', -1)
  end
  redis.call('HDEL', added, id)
end
