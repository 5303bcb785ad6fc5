#!lua flags=allow-oom
-- The operator has no pods for an empty queue, and wants to be told of the first job that comes, or is due: see `rouse` in
-- retention.lua. While the queue sleeps nothing is in `ready`, `active` or `parked`: whoever puts a job there when nothing is, and
-- whoever accepts a delayed one, rouses it.
--   KEYS  the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: ms; jobs that are due later than that are known. '': none is
--   Reply {1 if it sleeps now, 0 if something is there; 0}, or {-1, epoch} from a leader that is none any more
--@include queue
--@include clock
--@include epoch
local q = queue_at(1)
local old = superseded(q, ARGV[1])
if old then
  return old
end
local due = redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')[2]
if redis.call('EXISTS', q.ready, q.active, q.parked) > 0
  or due and (ARGV[2] == '' or tonumber(due) < now + tonumber(ARGV[2]) + 1) then
  return {0, 0}
end
redis.call('HSET', q.policy, 'asleep', '1')
return {1, 0}
