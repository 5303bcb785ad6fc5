#!lua flags=allow-oom
-- Keep the leases of one queue's running jobs.
--   KEYS  the queue's keys
--   ARGV  1: caller   2: lease in ms   then for each job: id, the call that fetched it
--   Reply {ids that this caller no longer holds, ids that shall be cancelled, ids whose deadline is over}
--@include queue
--@include clock
--@include deadline
local q = queue_at(1)
local lost, cancels, late = {}, {}, {}
local cancelling = redis.call('EXISTS', q.cancels) == 1
for i = 3, #ARGV, 2 do
  local id, fence = ARGV[i], ARGV[1] .. ' ' .. ARGV[i + 1] .. ' '
  local run = redis.call('HGET', q.runs, id)
  if run and string.sub(run, 1, #fence) == fence and redis.call('ZSCORE', q.active, id) then
    redis.call('ZADD', q.active, now + tonumber(ARGV[2]), id)
    local asked = cancelling and redis.call('HGET', q.cancels, id)
    if not asked and is_over(q, id, now) then
      asked = stop_late(q, id) and ' deadline'
    end
    if asked then
      local list = string.find(asked, ' deadline', 1, true) and late or cancels
      list[#list + 1] = id
    end
  else
    lost[#lost + 1] = id
  end
end
redis.call('HSET', q.counts, 'seen', exact(now)) -- Redis is there, and so are workers: see exchange.lua
return {lost, cancels, late}
