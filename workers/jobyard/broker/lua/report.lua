-- A running job says how far it is.
--   KEYS  the queue's keys
--   ARGV  1: caller   2: id   3: the call that fetched it   4: JSON
--   Reply 1, or 0 if the caller no longer holds the job
--@include queue
local q = queue_at(1)
local fence = ARGV[1] .. ' ' .. ARGV[3] .. ' '
local run = redis.call('HGET', q.runs, ARGV[2])
if run and string.sub(run, 1, #fence) == fence and redis.call('ZSCORE', q.active, ARGV[2]) then
  redis.call('HSET', q.progress, ARGV[2], ARGV[4])
  return 1
end
return 0
