-- Workers that shall go get no new jobs of a queue, each until some time. The queue's policy says so, since every fetch reads it
-- anyway: `retired:TOKEN` → that time in ms, and `retired` → the last of these times.
local RETIRED = '^retired:(.*)$'

-- Forget those whose time is over, in `policy` as well.
local function forget_retired(q, policy)
  local last
  for name, value in pairs(policy) do
    if string.match(name, RETIRED) then
      if tonumber(value) <= now then
        redis.call('HDEL', q.policy, name)
      else
        last = math.max(last or 0, tonumber(value))
      end
    end
  end
  if last then
    redis.call('HSET', q.policy, 'retired', exact(last))
  else
    redis.call('HDEL', q.policy, 'retired')
  end
end

-- Until when a worker gets none; nil: it does.
local function retired_until(q, policy, worker)
  if not policy.retired then
    return nil
  end
  if tonumber(policy.retired) <= now then
    forget_retired(q, policy)
    return nil
  end
  local time = tonumber(policy['retired:' .. worker])
  return time and time > now and time or nil
end
