#!lua flags=allow-oom
-- A batch hears what has become of its jobs. A notice that comes again, or that a later one has overtaken, changes nothing.
--   KEYS  1: its record   2: its jobs   3: those that are being added (see verdict.lua); then the keys of the batch's home queue
--   ARGV  1: the batch's name   2: the queue that the notices come from   then id, number of the notice and state of each job
--   Reply 1 if the batch calls somebody, else 0
--@include queue
--@include clock
--@include notices
--@include verdict
local q, batch, queue = queue_at(4), ARGV[1], ARGV[2]
if redis.call('EXISTS', record) == 0 then
  return 0 -- It has been forgotten.
end

-- What a job had entered and never enqueued, since it was killed in between: it has ended without doing it again.
local function forget_unsent(adder)
  local all = redis.call('HGETALL', added)
  for i = 1, #all, 2 do
    if all[i + 1] == adder then
      leave_batch(all[i])
    end
  end
end

local ids, held, seen = {}, {}, {}
for i = 3, #ARGV, 3 do
  if not seen[ARGV[i]] then
    seen[ARGV[i]] = true
    ids[#ids + 1] = ARGV[i]
  end
end
local rows = redis.call('HMGET', jobs, unpack(ids))
for i = 1, #ids do
  held[ids[i]] = rows[i]
end

local changes, heard = {total = 0}, {}
for i = 3, #ARGV, 3 do
  local id, number, state = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if not held[id] then
    -- Entered, forgotten as unsent, and then it turns out that it was sent.
    changes.total = changes.total + 1
    held[id] = 'pending 0 ' .. queue
  end
  local before, last, place = string.match(held[id], '^(%a+) (%d+) (.*)$')
  if tonumber(number) > tonumber(last) then
    held[id] = table.concat({state, number, place}, ' ')
    heard[id] = state
    changes[before] = (changes[before] or 0) - 1
    changes[state] = (changes[state] or 0) + 1
    if state ~= 'completed' and state ~= 'pending' then
      redis.call('HSETNX', record, 'failure', table.concat({state, queue, id}, ' '))
    end
  end
end

local written = {}
for id in pairs(heard) do
  written[#written + 1] = id
  written[#written + 1] = held[id]
end
if #written > 0 then
  redis.call('HSET', jobs, unpack(written))
end
changes.pending = nil
for name, change in pairs(changes) do
  if change ~= 0 then
    redis.call('HINCRBY', record, name, change)
  end
end
if changes.total > 0 then
  redis.call('HSET', record, 'queue:' .. queue, 1)
end
if redis.call('EXISTS', added) == 1 then
  for id, state in pairs(heard) do
    if state ~= 'pending' then
      redis.call('HDEL', added, id)
      forget_unsent(id)
    end
  end
end
pass_verdict(q, batch)
return q.posted and 1 or 0
