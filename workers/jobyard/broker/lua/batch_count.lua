#!lua flags=allow-oom
-- A batch hears what has become of its jobs. A letter that comes again, or that a later one has overtaken, changes nothing.
--   KEYS  1: its record   2: its jobs   3: those that are being added (see verdict.lua); then the keys of the batch's home queue
--   ARGV  1: the batch's name   2: the queue that the letters come from   then id, number of the letter and state of each job
--   Reply 1 if the batch calls somebody, else 0
--@include queue
--@include clock
--@include outbox
--@include verdict
local q, batch, queue = queue_at(4), ARGV[1], ARGV[2]
if redis.call('EXISTS', record) == 0 then
  return 0 -- It has been forgotten.
end

-- What a job had entered and never enqueued, since it was killed in between: it has ended without doing it again.
local function forget_unsent(adder)
  if redis.call('EXISTS', added) == 0 then
    return
  end
  local all = redis.call('HGETALL', added)
  for i = 1, #all, 2 do
    if all[i + 1] == adder then
      leave_batch(all[i])
    end
  end
end

for i = 3, #ARGV, 3 do
  local id, number, state = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local held = redis.call('HGET', jobs, id)
  if not held then
    -- Entered, forgotten as unsent, and then it turns out that it was sent.
    redis.call('HINCRBY', record, 'total', 1)
    redis.call('HSET', record, 'queue:' .. queue, 1)
    held = 'pending 0 ' .. queue
  end
  local before, seen = string.match(held, '^(%a+) (%d+)')
  if tonumber(number) > tonumber(seen) then
    redis.call('HSET', jobs, id, table.concat({state, number, queue}, ' '))
    if before ~= 'pending' then
      redis.call('HINCRBY', record, before, -1)
    end
    if state ~= 'pending' then
      redis.call('HINCRBY', record, state, 1)
      redis.call('HDEL', added, id)
      forget_unsent(id)
      if state ~= 'completed' then
        redis.call('HSETNX', record, 'failure', table.concat({state, queue, id}, ' '))
      end
    end
  end
end
pass_verdict(q, batch)
return q.posted and 1 or 0
