#!lua flags=allow-oom
-- The operator holds one queue: no job of it is started, as if it were paused, until the operator lets it go on.
--   KEYS  the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: why; '': it goes on
--   Reply {1 if that changed something, else 0; 0}, or {-1, epoch} from a leader that is none any more
--@include queue
--@include clock
--@include wake
--@include epoch
local q = queue_at(1)
local old = superseded(q, ARGV[1])
if old then
  return old
end
local why = ARGV[2] ~= '' and ARGV[2]
if redis.call('HGET', q.policy, 'held') == why then
  return {0, 0}
end
if why then
  redis.call('HSET', q.policy, 'held', why)
else
  redis.call('HDEL', q.policy, 'held')
  wake(q)
end
return {1, 0}
