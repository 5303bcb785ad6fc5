#!lua flags=no-writes,allow-oom
-- Everything about some jobs of one queue, each read at one instant.
--   KEYS  the queue's keys
--   ARGV  ids
--   Reply for each id a list, see look.lua
--@include queue
--@include traits
local q = queue_at(1)
--@include look
local reply = {}
for i = 1, #ARGV do
  reply[i] = look_at(ARGV[i])
end
return reply
