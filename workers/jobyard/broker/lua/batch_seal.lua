#!lua flags=allow-oom
-- Jobs that were entered into a batch are enqueued now.
--   KEYS  1: its record   2: its jobs   3: those that are being added (see verdict.lua); then the keys of the batch's home queue
--   ARGV  1: the batch's name   2: '1': these were the last ones that its maker had   3: how many jobs turned out to be none of
--         the batch; their ids; then the ids of jobs that another job has added
--   Reply {1 if the batch is cancelled, else 0, 1 if it calls somebody, else 0}
--@include queue
--@include clock
--@include notices
--@include verdict
local q, batch = queue_at(4), ARGV[1]
if redis.call('EXISTS', record) == 0 then
  return {0, 0}
end
local strangers = tonumber(ARGV[3])
for i = 4, #ARGV do
  if i < 4 + strangers then
    leave_batch(ARGV[i])
  else
    redis.call('HDEL', added, ARGV[i])
  end
end
if ARGV[2] == '1' then
  redis.call('HSETNX', record, 'sealed', exact(now))
end
pass_verdict(q, batch)
return {redis.call('HEXISTS', record, 'stopped'), q.posted and 1 or 0}
