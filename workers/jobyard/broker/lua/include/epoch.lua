-- Several operators run, and one of them leads; one that was stopped for a while may not know that it leads no more. So whatever
-- an operator writes carries its epoch, which is higher with each new leader, and a queue takes nothing from a lower one than it
-- has seen.

-- What to reply instead, if a later leader has written to this queue: {-1, its epoch}. nil: go on.
local function superseded(q, epoch)
  epoch = tonumber(epoch)
  local seen = tonumber(redis.call('HGET', q.operator, 'epoch') or -1)
  if seen > epoch then
    return {-1, seen}
  end
  if seen < epoch then
    redis.call('HSET', q.operator, 'epoch', exact(epoch))
  end
end
