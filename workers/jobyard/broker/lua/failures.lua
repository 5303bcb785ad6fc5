#!lua flags=no-writes,allow-oom
-- The failure groups of one queue.
--   KEYS  the queue's keys
--   Reply a flat list: fingerprint, when it was last seen in ms, JSON object, how many dead letters there are of it
--@include queue
local q = queue_at(1)
local reply = {}
local seen = redis.call('ZREVRANGE', q.failures_seen, 0, -1, 'WITHSCORES')
for i = 1, #seen, 2 do
  local record, dead = unpack(redis.call('HMGET', q.failures, seen[i], seen[i] .. ' dead'))
  if record then
    for _, part in ipairs({seen[i], seen[i + 1], record, dead or '0'}) do
      reply[#reply + 1] = part
    end
  end
end
return reply
