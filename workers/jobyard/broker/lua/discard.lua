#!lua flags=allow-oom
-- Jobs of one queue that nobody wants any more are forgotten. Running and finished ones are left alone.
--   KEYS  the queue's keys
--   ARGV  1: the place to take them from: dead | ready | scheduled | parked   then the ids; none: the first 1000 of the place
--   Reply how many were there
--@include queue
--@include clock
--@include wake
--@include traits
--@include notices
--@include retention
--@include breakers
--@include leave
--@include drop
local q = queue_at(1)
local place = q[ARGV[1]]
local members = {unpack(ARGV, 2)}
if #members == 0 then
  members = redis.call('ZRANGE', place, 0, 999)
end
local gone = {}
for i = 1, #members do
  local id = members[i]
  if redis.call('ZREM', place, id) == 1 then
    -- A parked job's member is key NUL position NUL id.
    gone[#gone + 1] = ARGV[1] == 'parked' and string.match(id, '^[^%z]*%z[^%z]*%z(.*)$') or id
  elseif ARGV[1] == 'parked' and unparked(q, id) then
    gone[#gone + 1] = id
  end
end
if #gone > 0 then
  if ARGV[1] == 'ready' or ARGV[1] == 'scheduled' then
    pass_turn(q, gone)
  end
  drop(q, gone)
end
return #gone
