#!lua flags=allow-oom
-- Take planned ticks of a schedule back; or all of them, and forget it. Jobs that are due stay.
--   KEYS  1: the schedules of the queue   2: the schedule's record   then the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: uid   then 'all', or name, due time in ms and digest of each tick (see schedules.lua)
--   Reply {ticks taken back, 0}, or {-1, epoch} from a leader that is none any more
--@include queue
--@include clock
--@include epoch
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include deadline
--@include breakers
--@include leave
--@include schedules
local q = queue_at(3)
local index, record, uid = KEYS[1], KEYS[2], ARGV[2]
local old = superseded(q, ARGV[1])
if old then
  return old
end
if ARGV[3] ~= 'all' then
  return {take_back_listed(q, record, 3, (#ARGV - 2) / 3), 0}
end
local taken = 0
local all = redis.call('HGETALL', record)
for i = 1, #all, 2 do
  if string.find(all[i], '^[@!]') then
    local tick = parse_tick(all[i + 1])
    taken = taken + take_back(q, record, all[i], tick)
    redis.call('HDEL', q.operator, 'skipped:' .. tick.id)
  end
end
redis.call('HDEL', q.operator, 'last:' .. uid, 'held:' .. uid)
redis.call('HDEL', index, uid)
redis.call('DEL', record)
if redis.call('EXISTS', index) == 0 then
  redis.call('HDEL', q.policy, 'overlaps')
end
return {taken, 0}
