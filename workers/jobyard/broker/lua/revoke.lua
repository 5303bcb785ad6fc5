#!lua flags=allow-oom
-- A worker is known to be dead: its jobs of one queue run again at once, without waiting for the lease.
--   KEYS  the queue's keys
--   ARGV  1: the dead caller   2: the cause as a JSON object   3: how many jobs it had completed without delivering that
--         then for each of these: id, the call that fetched it, its result or ''
--         then 'all', or 'some': in that case only the ids that follow had been started, and the attempt of the others
--         doesn't count
--   Reply {how many jobs went back, how many were completed}
--@include queue
--@include clock
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include deadline
--@include breakers
--@include leave
--@include complete
local q = queue_at(1)
local fence = ARGV[1] .. ' '
local at = 4

local completed = {}
local policy = read_policy(q)
for _ = 1, tonumber(ARGV[3]) do
  local id, held, result = ARGV[at], fence .. ARGV[at + 1] .. ' ', ARGV[at + 2]
  at = at + 3
  local run = redis.call('HGET', q.runs, id)
  if run and string.sub(run, 1, #held) == held and redis.call('ZSCORE', q.active, id) then
    complete(q, policy, {id}, result == '' and {} or {id, result})
    completed[#completed + 1] = id
  end
end

local started
if ARGV[at] == 'some' then
  started = {}
  for i = at + 1, #ARGV do
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
return {moved, #completed}
