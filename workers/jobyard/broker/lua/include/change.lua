-- Changing a queue's policy; what it says acts with the next fetch.

-- `fields` is a flat list of names and values ('' takes the field away, so that the default holds).
local function change_policy(q, fields)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
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
end
