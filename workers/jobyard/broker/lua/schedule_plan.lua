-- Put ticks of a schedule into its queue, each together with the record of it, and take others back.
--   KEYS  1: the schedules of the queue   2: the schedule's record   then the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: uid   3: what is shown of the schedule, as JSON   4: skip | buffer | replace, or '': overlaps
--         are allowed   5: digest   6-10: counts that the record begins with, where there is none: recorded, succeeded, failed,
--         cancelled, skipped   11: how many ticks to take back; then for each: name, due time in ms, digest (see schedules.lua)
--         then for each tick to put in: name, due time in ms (0: now), job id, envelope, priority, wishes (see arrive.lua), ms after
--         the due time within which the job must have started or ''
--   Reply {ticks put in, ticks taken back}, or {-1, epoch} from a leader that is none any more
-- A tick that is recorded, or is older than all that is recorded, is left alone. Refused when Redis is out of memory.
--@include once
--@include queue
--@include clock
--@include epoch
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include rates
--@include arrive
--@include deadline
--@include breakers
--@include leave
--@include schedules
local q = queue_at(3)
local index, record, uid, policy, digest = KEYS[1], KEYS[2], ARGV[2], ARGV[4], ARGV[5]
local old = superseded(q, ARGV[1])
if old then
  return old
end
redis.call('HSET', index, uid, ARGV[3])
for i, name in ipairs({'recorded', 'succeeded', 'failed', 'cancelled', 'skipped'}) do
  redis.call('HSETNX', record, name, ARGV[5 + i])
end
local count = tonumber(ARGV[11])
local taken_back = take_back_listed(q, record, 12, count)

local floor = tonumber(redis.call('HGET', record, 'floor') or -1)
local put_in = 0
for i = 12 + 3 * count, #ARGV, 7 do
  local name, due, id, envelope, priority, wishes, patience = unpack(ARGV, i, i + 6)
  local nominal = tonumber(string.match(name, '^@(%d+)$'))
  if not (nominal and nominal <= floor) and redis.call('HEXISTS', record, name) == 0 then
    due = due == '0' and now or tonumber(due)
    -- What must not overlap comes in through `scheduled`, where that is looked after; in this order.
    local delay = math.max(policy == '' and 0 or 1 + put_in, due - now)
    if policy ~= '' then
      redis.call('HSET', q.operator, 'tick:' .. id, uid .. ' ' .. policy)
      redis.call('HSET', q.policy, 'overlaps', '1') -- see overlaps.lua
    end
    local _, taken = arrive(q, {{id, envelope, tonumber(priority), delay, wishes}})
    local tick = {due = due, id = id, digest = digest, state = '-', ended = '0'}
    if #taken > 0 then
      tick.state, tick.ended = 'Skipped', exact(now)
      redis.call('HDEL', q.operator, 'tick:' .. id)
      redis.call('HINCRBY', record, 'skipped', 1)
    elseif patience ~= '' then
      redis.call('ZADD', q.expires, exact(math.max(due, now) + tonumber(patience)), 'job\0' .. id)
    end
    write_tick(record, name, tick)
    redis.call('HINCRBY', record, 'recorded', 1)
    put_in = put_in + 1
  end
end
return {put_in, taken_back}
