-- Every caller numbers its calls. A number that is not higher than the last one is a call that was applied before: its
-- reply got lost and it was sent again, or it was on its way for so long that a later one overtook it.
local function applied_before(key, call)
  local last = tonumber(redis.call('GET', key))
  if last and last >= tonumber(call) then
    return true
  end
  redis.call('SET', key, call, 'PX', 120000)
  return false
end
