#!lua flags=allow-oom
-- Jobs of one queue that nobody wants any more are forgotten. Running and finished ones are left alone.
--   KEYS  the queue's keys
--   ARGV  1: the place to take them from: dead | ready | scheduled   then the ids; none: the first 1000 of the place
--   Reply how many were there
--@include queue
--@include clock
--@include wake
--@include traits
--@include retention
--@include leave
local q = queue_at(1)
local place = q[ARGV[1]]
local ids = {unpack(ARGV, 2)}
if #ids == 0 then
  ids = redis.call('ZRANGE', place, 0, 999)
end
local gone = {}
for i = 1, #ids do
  if redis.call('ZREM', place, ids[i]) == 1 then
    gone[#gone + 1] = ids[i]
  end
end
if #gone > 0 then
  forget(q, gone)
  redis.call('HINCRBY', q.counts, 'discarded', #gone)
  announce(q, gone)
end
return #gone
