#!lua flags=allow-oom
-- What a running job has logged.
--   KEYS  the queue's keys
--   ARGV  1: caller   2: id   3: the call that fetched it   4: number of the first line in this run, from 0   5: the lines
--   Reply 1, or 0 if the caller no longer holds the job
--@include queue
--@include logs
local q = queue_at(1)
return keep_logs(q, ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]) and 1 or 0
