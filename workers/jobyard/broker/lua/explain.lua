#!lua flags=no-writes,allow-oom
-- Why a job is where it is: the job, and what holds it, read at one instant.
--   KEYS  the queue's keys
--   ARGV  1: id   2: look at so many jobs at most, where they can't be counted by the server
--   Reply {the job, see look.lua, then name and value of each fact}
--         now           in ms
--         seen          in ms: when a worker last asked for jobs of the queue, or renewed; ''
--         policy        flat list of names and values
--         key           '' none
--         granted       '1': it was given the time at which it may start
--         expires       in ms, by which it must have started; ''
--         deadline      in ms, by which it must have ended; ''
--         cancelled_at  in ms: it was asked to stop; ''
--         late          '1': since its deadline is over
--         active        how many jobs of the queue run
--         running       ids of some of them
--         slots         how many jobs of its key run
--         holders       ids of some of them
--         queue_rate_at, key_rate_at   in ms: the next start that the rates allow; ''
--         ahead         waiting: flat list of priorities and how many jobs of each stand before it
--         ahead_read    waiting: of how many jobs before it the priority is known
--         parked_ahead  parked: how many jobs that are parked for the same reason stand before it
--         dependency, breaker   parked: what it depends on and the record of its breaker, if it is held for that
--@include queue
--@include clock
--@include position
--@include traits
--@include retention
--@include rates
local q, id, most = queue_at(1), ARGV[1], tonumber(ARGV[2])
local SHOWN = 10
--@include look
local job = look_at(id)
local policy = read_policy(q)
local reply = {job, 'now', exact(now), 'policy', redis.call('HGETALL', q.policy)}
local state = job[2]
if state == 'unknown' then
  return reply
end

local function add(name, value)
  reply[#reply + 1] = name
  reply[#reply + 1] = value or ''
end

local traits = traits_of(q, {id})[1] or {key = '', dependency = ''}
add('seen', redis.call('HGET', q.counts, 'seen'))
add('key', traits.key)
add('granted', traits.granted and '1' or '')
add('expires', redis.call('ZSCORE', q.expires, 'job\0' .. id))
add('deadline', redis.call('ZSCORE', q.expires, 'deadline\0' .. id))
local asked = redis.call('HGET', q.cancels, id)
add('cancelled_at', asked and string.match(asked, '^%d+'))
add('late', asked and string.find(asked, ' deadline', 1, true) and '1' or '')

-- Who runs ------------------------------------------------------------------------------------------------------------
add('active', redis.call('ZCARD', q.active))
add('running', redis.call('ZRANGE', q.active, 0, SHOWN - 1))
if traits.key ~= '' then
  add('slots', tonumber(redis.call('HGET', q.slots, traits.key)) or 0)
  local holders, running = {}, redis.call('ZRANGE', q.active, 0, most - 1)
  if #running > 0 then
    for _, one in ipairs(traits_of(q, running)) do
      if one.key == traits.key and #holders < SHOWN then
        holders[#holders + 1] = one.id
      end
    end
  end
  add('holders', holders)
end
if policy.rate_mode ~= 'reject' then
  if policy.rate then
    add('queue_rate_at', exact(next_start(q, '', policy.rate, policy.rate_period, policy.rate_burst)))
  end
  if policy.key_rate and traits.key ~= '' and not traits.granted then
    add('key_rate_at', exact(next_start(q, traits.key, policy.key_rate, policy.key_rate_period, policy.key_rate_burst)))
  end
end

-- Who comes first -----------------------------------------------------------------------------------------------------
if state == 'waiting' then
  local ahead, rank, read = {}, job[9], 0
  local position = tonumber(job[3])
  if band_of(policy.ageing) == STRICT then
    -- Each priority has a band of its own, so the server can count.
    read = rank
    for priority = 0, math.floor(position / STRICT) do
      local stop = math.min(position, (priority + 1) * STRICT)
      local count = redis.call('ZCOUNT', q.ready, exact(priority * STRICT), '(' .. string.format('%.17g', stop))
      if stop == position then
        -- Those at the very same position come before it by their names.
        count = count + rank - redis.call('ZCOUNT', q.ready, '-inf', '(' .. job[3])
      end
      if count > 0 then
        ahead[#ahead + 1] = priority
        ahead[#ahead + 1] = count
      end
    end
  elseif rank > 0 then
    local counts = {}
    local ids = redis.call('ZRANGE', q.ready, 0, math.min(rank, most) - 1)
    read = #ids
    for _, envelope in ipairs(redis.call('HMGET', q.jobs, unpack(ids))) do
      local priority = priority_of(envelope)
      counts[priority] = (counts[priority] or 0) + 1
    end
    for priority, count in pairs(counts) do
      ahead[#ahead + 1] = priority
      ahead[#ahead + 1] = count
    end
  end
  add('ahead', ahead)
  add('ahead_read', read)
elseif state == 'parked' then
  for _, key in ipairs(parking_keys(traits)) do
    local before = 0
    for _, row in ipairs(redis.call('ZRANGEBYLEX', q.parked, '[' .. key .. '\0', '(' .. key .. '\1')) do
      if string.match(row, '^[^%z]*%z[^%z]*%z(.*)$') == id then
        add('parked_ahead', before)
        if key ~= traits.key then
          add('dependency', traits.dependency)
          add('breaker', redis.call('HGET', q.breakers, traits.dependency))
        end
      end
      before = before + 1
    end
  end
end
return reply
