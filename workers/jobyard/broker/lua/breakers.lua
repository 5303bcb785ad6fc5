#!lua flags=no-writes,allow-oom
-- The circuit breakers of one queue.
--   KEYS  the queue's keys
--   Reply for each dependency that has failed of late: {dependency, its record (see include/breakers.lua), how many jobs are held}
--@include queue
local q = queue_at(1)
local reply, all = {}, redis.call('HGETALL', q.breakers)
for i = 1, #all, 2 do
  local held = redis.call('ZLEXCOUNT', q.parked, '[\1' .. all[i] .. '\0', '(\1' .. all[i] .. '\1')
  reply[#reply + 1] = {all[i], all[i + 1], held}
end
return reply
