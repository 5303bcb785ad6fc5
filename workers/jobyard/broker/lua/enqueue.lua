-- Accept new jobs into one queue.
--   KEYS  1: the caller's call number; then the queue's keys
--   ARGV  1: call number; then four for each job: id, envelope, priority (0-100), delay in ms (0: now)
--   Reply how many jobs were new; -1 if this very call was applied before (its reply got lost)
-- Known ids are left alone, in whatever state the job is. Refused when Redis is out of memory.
--@include once
--@include queue
--@include clock
--@include position
--@include wake
--@include arrive
if applied_before(KEYS[1], ARGV[1]) then
  return -1
end
local jobs = {}
for i = 2, #ARGV, 4 do
  jobs[#jobs + 1] = {ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])}
end
return arrive(queue_at(2), jobs)
