#!lua flags=allow-oom
-- Change one queue's policy; what it says acts with the next fetch.
--   KEYS  the queue's keys
--   ARGV  two for each field: name, value ('' takes the field away, so that the default holds)
--   Reply the whole policy as a flat list of names and values
--@include queue
--@include wake
--@include change
local q = queue_at(1)
change_policy(q, ARGV)
return redis.call('HGETALL', q.policy)
