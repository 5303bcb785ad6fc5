-- Dead letters of one queue are tried again, with all their attempts before them. Their errors stay.
--   KEYS  the queue's keys
--   ARGV  three for each job: id, delay in ms (0: now), new envelope or '' (unchanged)
--   Reply how many were dead and now wait
--@include queue
--@include clock
--@include position
--@include wake
--@include notices
--@include retention
--@include letters
local letters = {}
for i = 1, #ARGV, 3 do
  letters[#letters + 1] = {ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]}
end
return revive(queue_at(1), letters)
