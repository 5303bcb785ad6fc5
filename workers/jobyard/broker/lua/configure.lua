-- Change one queue's policy; what it says acts with the next fetch.
--   KEYS  the queue's keys
--   ARGV  two for each field: name, value ('' takes the field away, so that the default holds)
--   Reply the whole policy as a flat list of names and values
--@include queue
--@include clock
--@include wake
local q = queue_at(1)
for i = 1, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', q.policy, ARGV[i])
  else
    redis.call('HSET', q.policy, ARGV[i], ARGV[i + 1])
  end
end
wake(q)
return redis.call('HGETALL', q.policy)
