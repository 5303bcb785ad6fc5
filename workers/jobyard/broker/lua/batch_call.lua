#!lua flags=allow-oom
-- A batch calls: one of its callbacks is accepted, once, even if the job has ended and is forgotten when it is sent again.
--   KEYS  1: the mark that it was accepted; then the keys of the callback's queue
--   ARGV  1: ms for which the mark is kept   2: id   3: envelope   4: priority   5: delay in ms   6: wishes (see arrive.lua)
--   Reply 1 if it is new, else 0
--@include queue
--@include clock
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include arrive
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then
  return 0
end
return (arrive(queue_at(2), {{ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]}}))
