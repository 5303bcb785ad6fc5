-- What a few jobs have besides: a key (whose jobs are limited or take turns), a unique key, a granted slot. Most jobs have
-- none of it, and cost one EXISTS a call.
local function traits_of(q, ids)
  local found = redis.call('HMGET', q.traits, unpack(ids))
  local traits = {}
  for i = 1, #ids do
    if found[i] then
      local key, unique, granted = string.match(found[i], '^([^%z]*)%z([^%z]*)%z([^%z]*)$')
      traits[#traits + 1] = {id = ids[i], key = key, unique = unique, granted = granted == '1'}
    end
  end
  return traits
end

local function has_traits(q)
  return redis.call('EXISTS', q.traits) == 1
end

local function set_traits(q, id, key, unique, granted)
  redis.call('HSET', q.traits, id, table.concat({key, unique, granted and '1' or ''}, '\0'))
end

-- Jobs that were parked for a slot of `key` return to their position.
local function unpark(q, key, most)
  local rows = redis.call('ZRANGEBYLEX', q.parked, '[' .. key .. '\0', '(' .. key .. '\1', 'LIMIT', 0, most)
  for _, row in ipairs(rows) do
    local position, id = string.match(row, '^[^%z]*%z([^%z]*)%z(.*)$')
    redis.call('ZREM', q.parked, row)
    redis.call('ZADD', q.ready, tonumber(position), id)
  end
  return #rows
end

-- Take a parked job away. False: it is not parked. The jobs of a key are read once a call, since many may be taken away; so
-- none must be parked before this in the same call.
local parked_rows = {}
local function unparked(q, id)
  local job = redis.call('EXISTS', q.parked) == 1 and traits_of(q, {id})[1]
  if not job or job.key == '' then
    return false
  end
  local name = q.parked .. '\0' .. job.key
  if not parked_rows[name] then
    parked_rows[name] = {}
    for _, row in ipairs(redis.call('ZRANGEBYLEX', q.parked, '[' .. job.key .. '\0', '(' .. job.key .. '\1')) do
      parked_rows[name][string.match(row, '^[^%z]*%z[^%z]*%z(.*)$')] = row
    end
  end
  local row = parked_rows[name][id]
  return row ~= nil and redis.call('ZREM', q.parked, row) == 1
end

local function park(q, key, position, id)
  redis.call('ZADD', q.parked, 0, table.concat({key, string.format('%017.0f', tonumber(position)), id}, '\0'))
end

-- Jobs that were active are so no longer: the next ones of their keys may run. Returns how many came back from parking.
local function free_slots(q, ids)
  local back = 0
  if has_traits(q) then
    for _, job in ipairs(traits_of(q, ids)) do
      if job.key ~= '' then
        if redis.call('HINCRBY', q.slots, job.key, -1) <= 0 then
          redis.call('HDEL', q.slots, job.key)
        end
        back = back + unpark(q, job.key, 1)
      end
    end
  end
  return back
end

-- These jobs were waiting, and won't run: the next ones of their keys may. Only the end of a run calls a parked job back; if the
-- one that was called goes away before it runs, it has to pass the call on, or the others would be parked for ever.
local function pass_turn(q, ids)
  if redis.call('EXISTS', q.parked) == 0 then
    return
  end
  local back = 0
  for _, job in ipairs(traits_of(q, ids)) do
    if job.key ~= '' then
      back = back + unpark(q, job.key, 1)
    end
  end
  if back > 0 then
    wake(q)
  end
end

-- The unique keys of jobs that have started, or ended, can be used again, if that is what their mode says.
local function release_unique(q, ids, event)
  if redis.call('EXISTS', q.unique) == 0 then
    return
  end
  for _, job in ipairs(traits_of(q, ids)) do
    local holder = job.unique ~= '' and redis.call('HGET', q.unique, job.unique)
    if holder then
      local mode, id = string.match(holder, '^(%S+) (.*)$')
      if id == job.id and (mode == event or (mode == 'start' and event == 'end')) then
        redis.call('HDEL', q.unique, job.unique)
      end
    end
  end
end
