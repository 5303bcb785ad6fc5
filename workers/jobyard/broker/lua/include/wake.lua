-- One token is enough: whoever it wakes takes what it can and leaves another token if there is more.
local function wake(q)
  if redis.call('LLEN', q.wake) == 0 then
    redis.call('LPUSH', q.wake, '1')
  end
end

-- Some idle worker has to look again at `due`. True if another one than `me` already waits for that time or an earlier one.
local function is_watched(q, due, me)
  local watched = redis.call('GET', q.timer)
  if not watched then
    return false
  end
  local at, who = string.match(watched, '^(%d+) (.*)$')
  -- A time that is past is watched no more: who waited for it is awake, and has perhaps looked already.
  return who ~= me and tonumber(at) <= due and tonumber(at) >= now
end
