-- Jobs are entered into a batch, before they are enqueued. The first call makes the batch.
--   KEYS  1: its record   2: its jobs   3: those that are being added (see verdict.lua)
--   ARGV  1: '' or, when a job of the batch adds others, that job's id   2: ms for which the batch is kept when it has ended
--         3: how many fields of the record follow, with their values; then id and queue of each job
--   Reply {'open', ids of those that have ended already…}, or why none was entered:
--         {'sealed'}: all jobs are enqueued, and whoever made the batch can add no more   {'stopped'}: it is cancelled, and its jobs can add no more
--         {'unknown'}: there is no such batch (any more)   {'stranger'}: the job that adds is none of the batch, or has ended
--@include clock
local record, jobs, added = KEYS[1], KEYS[2], KEYS[3]
local adder, keep, fields = ARGV[1], ARGV[2], 2 * ARGV[3]
local known = redis.call('EXISTS', record) == 1
if adder == '' then
  if redis.call('HEXISTS', record, 'sealed') == 1 then
    return {'sealed'}
  end
  if not known then
    redis.call('HSET', record, 'created', exact(now), 'total', 0, 'keep', keep, unpack(ARGV, 4, 3 + fields))
  end
elseif not known then
  return {'unknown'}
elseif string.sub(redis.call('HGET', jobs, adder) or '', 1, 8) ~= 'pending ' then
  return {'stranger'}
elseif redis.call('HEXISTS', record, 'stopped') == 1 then
  return {'stopped'}
end

local reply, new, queues = {'open'}, 0, {}
for i = 4 + fields, #ARGV, 2 do
  local id, queue = ARGV[i], ARGV[i + 1]
  if redis.call('HSETNX', jobs, id, 'pending 0 ' .. queue) == 1 then
    new = new + 1
    queues[queue] = true
    if adder ~= '' then
      redis.call('HSET', added, id, adder)
    end
  elseif string.sub(redis.call('HGET', jobs, id), 1, 8) ~= 'pending ' then
    reply[#reply + 1] = id
  end
end
redis.call('HINCRBY', record, 'total', new)
for queue in pairs(queues) do
  redis.call('HSET', record, 'queue:' .. queue, 1)
end
if redis.call('HEXISTS', record, 'sealed') == 0 then
  -- Whoever makes it may never come back.
  for i = 1, 3 do
    redis.call('PEXPIRE', KEYS[i], redis.call('HGET', record, 'keep'))
  end
end
return reply
