#!lua flags=allow-oom
-- The operator's autoscaler keeps what it knows of one queue from one decision to the next.
--   KEYS  the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: what it knows
--   Reply {1, 0}, or {-1, epoch} from a leader that is none any more
--@include queue
--@include clock
--@include epoch
local q = queue_at(1)
local old = superseded(q, ARGV[1])
if old then
  return old
end
redis.call('HSET', q.operator, 'memory', ARGV[2])
return {1, 0}
