-- Jobs that are active now are done. `results` is a flat list of ids and results, for those that have one.
local function complete(q, policy, ids, results)
  dependencies_work(q, ids)
  leave_active(q, ids)
  tell_batches(q, ids, 'completed')
  release_unique(q, ids, 'end')
  redis.call('HINCRBY', q.counts, 'completed', #ids)
  if redis.call('EXISTS', q.cancels) == 1 then
    redis.call('HDEL', q.cancels, unpack(ids))
  end
  if policy.completed == '0' then
    forget(q, ids)
  else
    local finished = {}
    for j = 1, #ids do
      finished[2 * j - 1] = now
      finished[2 * j] = ids[j]
    end
    redis.call('ZADD', q.completed, unpack(finished))
    if #results > 0 then
      redis.call('HSET', q.results, unpack(results))
    end
  end
  announce(q, ids)
end
