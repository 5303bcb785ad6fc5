#!lua flags=allow-oom
-- Open or close the circuit breaker of one dependency by hand.
--   KEYS  the queue's keys
--   ARGV  1: the dependency   2: for how many ms no job of it starts; 0: close it
--   Reply '1' if that changed something
--@include queue
--@include clock
--@include wake
--@include traits
--@include breakers
local q = queue_at(1)
local dependency, pause = ARGV[1], tonumber(ARGV[2])
local breaker = read_breaker(q, dependency)
if pause == 0 then
  if not breaker or breaker.state == 'closing' then
    return 0
  end
  close_breaker(q, dependency, breaker)
  return 1
end
open_breaker(q, dependency, breaker or {state = 'closed', failures = 0, since = now}, pause)
wake(q) -- Whoever waits has to know the new time.
return 1
