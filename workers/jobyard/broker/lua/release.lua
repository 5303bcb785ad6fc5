#!lua flags=allow-oom
-- Workers that got no new jobs of a queue get some again. See retire.lua.
--   KEYS  the queue's keys; then for each worker the list on which it waits meanwhile
--   ARGV  the workers' tokens
--   Reply how many of them got none
--@include queue
--@include clock
--@include traits
--@include notices
--@include retention
--@include retired
local q = queue_at(1)
local released = 0
for i = 1, #ARGV do
  if redis.call('HDEL', q.policy, 'retired:' .. ARGV[i]) == 1 then
    released = released + 1
    local list = KEYS[FIELDS + i]
    if redis.call('LLEN', list) == 0 then
      redis.call('LPUSH', list, '1')
    end
    redis.call('PEXPIRE', list, 10000) -- It looks by itself in a shorter time.
  end
end
forget_retired(q, read_policy(q))
return released
