#!lua flags=allow-oom
-- Change one queue's policy; what it says acts with the next fetch.
--   KEYS  the queue's keys
--   ARGV  two for each field: name, value ('' takes the field away, so that the default holds)
--   Reply the whole policy as a flat list of names and values
--@include queue
--@include clock
--@include wake
--@include traits
local q = queue_at(1)
for i = 1, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  if name == 'ageing' then
    -- What the positions of waiting jobs were made with: reorder.lua has to know it.
    local before = redis.call('HGET', q.policy, name)
    if before and before ~= value then
      redis.call('HSET', q.policy, 'aged', before)
    end
  end
  if value == '' then
    redis.call('HDEL', q.policy, name)
  else
    redis.call('HSET', q.policy, name, value)
  end
end
-- Limits may have changed: jobs that are parked for their keys return, and are parked again if they must. (Those that a breaker
-- holds stay: they come first by name, see breakers.lua.)
local rows
repeat
  rows = redis.call('ZRANGEBYLEX', q.parked, '(\2', '+', 'LIMIT', 0, 1000)
  for _, row in ipairs(rows) do
    local position, id = string.match(row, '^[^%z]*%z([^%z]*)%z(.*)$')
    redis.call('ZREM', q.parked, row)
    redis.call('ZADD', q.ready, tonumber(position), id)
  end
until #rows < 1000
wake(q)
return redis.call('HGETALL', q.policy)
