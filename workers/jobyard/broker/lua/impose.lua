#!lua flags=allow-oom
-- The operator says what one queue's whole policy is. It says each policy once: what somebody changes afterwards holds until the
-- operator has another one to say.
--   KEYS  the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: digest of the policy   3: '1': the waiting jobs have been brought in line with it, see below
--         then two for each field: name, value ('' takes the field away). Weights that are not among them are taken away.
--   Reply {1 if it was written, 0 if it had been written before; 1 if the waiting jobs have yet to be brought in line with it
--         (reorder.lua), else 0}, or {-1, epoch} from a leader that is none any more
--@include queue
--@include clock
--@include wake
--@include change
--@include epoch
local q = queue_at(1)
local old = superseded(q, ARGV[1])
if old then
  return old
end
local digest = redis.call('HGET', q.operator, 'policy')
if digest == ARGV[2] or ARGV[3] == '1' then
  if digest == ARGV[2] and ARGV[3] == '1' then
    redis.call('HDEL', q.operator, 'reorder')
  end
  return {0, redis.call('HEXISTS', q.operator, 'reorder')}
end

local fields, named = {}, {}
for i = 4, #ARGV, 2 do
  fields[#fields + 1], fields[#fields + 2] = ARGV[i], ARGV[i + 1]
  named[ARGV[i]] = true
end
for _, name in ipairs(redis.call('HKEYS', q.policy)) do
  if string.sub(name, 1, 7) == 'weight:' and not named[name] then
    fields[#fields + 1] = name
    fields[#fields + 1] = ''
  end
end
local ageing = redis.call('HGET', q.policy, 'ageing')
change_policy(q, fields)
if ageing ~= redis.call('HGET', q.policy, 'ageing') then
  -- Kept until it is done: whoever called may not live to do it.
  redis.call('HSET', q.operator, 'reorder', '1')
end
redis.call('HSET', q.operator, 'policy', ARGV[2])
return {1, redis.call('HEXISTS', q.operator, 'reorder')}
