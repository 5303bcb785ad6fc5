-- What a few jobs have besides: a key (whose jobs are limited or take turns), a unique key, a granted slot, the name of a
-- dependency, tags. Most jobs have none of it, and cost one EXISTS a call. Fields are separated by NUL, tags by \1.
local TRAITS = '^([^%z]*)%z([^%z]*)%z([^%z]*)%z?([^%z]*)%z?([^%z]*)$'

local function traits_of(q, ids)
  local found = redis.call('HMGET', q.traits, unpack(ids))
  local traits = {}
  for i = 1, #ids do
    if found[i] then
      local key, unique, granted, dependency, tags = string.match(found[i], TRAITS)
      traits[#traits + 1] = {
        id = ids[i], key = key, unique = unique, granted = granted == '1', dependency = dependency, tags = tags,
      }
    end
  end
  return traits
end

local function has_traits(q)
  return redis.call('EXISTS', q.traits) == 1
end

-- `job` is as `traits_of` gives it.
local function set_traits(q, job)
  local fields = {job.key, job.unique, job.granted and '1' or '', job.dependency, job.tags}
  redis.call('HSET', q.traits, job.id, table.concat(fields, '\0'))
end

-- The members of `tags` that a job has there.
local function tag_members(job)
  local members = {}
  for tag in string.gmatch(job.tags, '[^\1]+') do
    members[#members + 1] = tag .. '\0' .. job.id
  end
  return members
end

-- Nothing is left of what these jobs had.
local function forget_traits(q, ids)
  if redis.call('EXISTS', q.tags) == 1 then
    for _, job in ipairs(traits_of(q, ids)) do
      local members = tag_members(job)
      if #members > 0 then
        redis.call('ZREM', q.tags, unpack(members))
      end
    end
  end
  redis.call('HDEL', q.traits, unpack(ids))
end

-- The keys under which a job may be parked: its own, and (see breakers.lua) that of its dependency.
local function parking_keys(job)
  local keys = {}
  if job.key ~= '' then
    keys[1] = job.key
  end
  if job.dependency ~= '' then
    keys[#keys + 1] = '\1' .. job.dependency
  end
  return keys
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
  for _, key in ipairs(job and parking_keys(job) or {}) do
    local name = q.parked .. '\0' .. key
    if not parked_rows[name] then
      parked_rows[name] = {}
      for _, row in ipairs(redis.call('ZRANGEBYLEX', q.parked, '[' .. key .. '\0', '(' .. key .. '\1')) do
        parked_rows[name][string.match(row, '^[^%z]*%z[^%z]*%z(.*)$')] = row
      end
    end
    local row = parked_rows[name][id]
    if row and redis.call('ZREM', q.parked, row) == 1 then
      return true
    end
  end
  return false
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
