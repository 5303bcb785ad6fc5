#!lua flags=allow-oom
-- Keep the leases of one queue's running jobs.
--   KEYS  the queue's keys
--   ARGV  1: caller   2: lease in ms   then for each job: id, the call that fetched it
--   Reply {ids that this caller no longer holds, ids that shall be cancelled}
--@include queue
--@include clock
local q = queue_at(1)
local lost, cancels = {}, {}
local cancelling = redis.call('EXISTS', q.cancels) == 1
for i = 3, #ARGV, 2 do
  local id, fence = ARGV[i], ARGV[1] .. ' ' .. ARGV[i + 1] .. ' '
  local run = redis.call('HGET', q.runs, id)
  if run and string.sub(run, 1, #fence) == fence and redis.call('ZSCORE', q.active, id) then
    redis.call('ZADD', q.active, now + tonumber(ARGV[2]), id)
    if cancelling and redis.call('HEXISTS', q.cancels, id) == 1 then
      cancels[#cancels + 1] = id
    end
  else
    lost[#lost + 1] = id
  end
end
redis.call('HSET', q.counts, 'seen', exact(now)) -- Redis is there, and so are workers: see exchange.lua
return {lost, cancels}
