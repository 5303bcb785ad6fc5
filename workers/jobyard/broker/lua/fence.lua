#!lua flags=allow-oom
-- A pod is gone: the jobs of its worker processes in one queue run again at once, without waiting for the lease.
--   KEYS  the queue's keys
--   ARGV  1: how the pod's tokens begin, see caller.py   2: only of processes that started before this time in ms; '': of all
--         3: the cause as a JSON object   4: '1': the attempt counts; '0': it doesn't, and the cause is kept all the same
--   Reply {how many jobs went back, then the tokens of those who had them}
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
local q = queue_at(1)
local prefix, before, cause, counts = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'

-- Whether it is a process that is meant.
local meant = {}
local function is_meant(caller)
  if meant[caller] == nil then
    local started = string.match(caller, '^(%w+)%.', #prefix + 1)
    meant[caller] = string.sub(caller, 1, #prefix) == prefix and started ~= nil
      and (before == nil or tonumber(started, 36) < before)
  end
  return meant[caller]
end

local moved, seen, reply = 0, {}, {0}
local ids = redis.call('ZRANGE', q.active, 0, -1)
for at = 1, #ids, 1000 do
  local some = {unpack(ids, at, math.min(at + 999, #ids))}
  local runs = redis.call('HMGET', q.runs, unpack(some))
  for i = 1, #some do
    local run = runs[i] and parse_run(runs[i])
    if run and is_meant(run.caller) then
      if counts then
        recover(q, {some[i]}, cause)
      else
        remember_error(q, some[i], run.attempt, run.started, cause)
        put_back(q, some[i], run, false)
      end
      moved = moved + 1
      if not seen[run.caller] then
        seen[run.caller] = true
        reply[#reply + 1] = run.caller
      end
    end
  end
end
if moved > 0 then
  wake(q)
end
reply[1] = moved
return reply
