#!lua flags=allow-oom
-- A worker is known to be dead: its jobs of one queue run again at once, without waiting for the lease.
--   KEYS  the queue's keys
--   ARGV  1: the dead caller   2: the cause as a JSON object   3: 'all', or 'some': then only the ids that follow had been
--         started; the attempt of the others doesn't count
--   Reply how many jobs went back
--@include queue
--@include clock
--@include wake
--@include leave
local q = queue_at(1)
local fence = ARGV[1] .. ' '
local started
if ARGV[3] == 'some' then
  started = {}
  for i = 4, #ARGV do
    started[ARGV[i]] = true
  end
end
local moved = 0
for _, id in ipairs(redis.call('ZRANGE', q.active, 0, -1)) do
  local run = redis.call('HGET', q.runs, id)
  if run and string.sub(run, 1, #fence) == fence then
    if started and not started[id] then
      put_back(q, id, parse_run(run), false)
    else
      recover(q, {id}, ARGV[2])
    end
    moved = moved + 1
  end
end
if moved > 0 then
  wake(q)
end
return moved
