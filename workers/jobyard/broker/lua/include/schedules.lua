-- The ticks of a schedule, as its record holds them: by '@' and the nominal time in ms, or '!' and the token of a run by hand,
--   DUE ID DIGEST STATE ENDED
-- DUE and ENDED in ms (ENDED 0: not known); DIGEST names what the job was made from; STATE is '-' until it has ended. Besides,
--   recorded, succeeded, failed, cancelled, skipped   counts       floor   nothing is recorded at this nominal time or before
local ENDED = {completed = 'Succeeded', dead = 'Failed', cancelled = 'Cancelled'}

local function parse_tick(text)
  local due, id, digest, state, ended = string.match(text, '^(%d+) (%S+) (%S+) (%S+) (%d+)$')
  return {due = tonumber(due), id = id, digest = digest, state = state, ended = ended}
end

local function write_tick(record, name, tick)
  redis.call('HSET', record, name, table.concat({exact(tick.due), tick.id, tick.digest, tick.state, tick.ended}, ' '))
end

-- Take a planned tick back, if its job is not due yet.
local function take_back(q, record, name, tick)
  if tick.state ~= '-' or tick.due <= now or redis.call('ZREM', q.scheduled, tick.id) == 0 then
    return 0
  end
  tell_batches(q, {tick.id}, 'discarded')
  forget(q, {tick.id})
  redis.call('HINCRBY', q.counts, 'discarded', 1)
  announce(q, {tick.id})
  redis.call('HDEL', q.operator, 'tick:' .. tick.id)
  redis.call('HDEL', record, name)
  redis.call('HINCRBY', record, 'recorded', -1)
  return 1
end

-- The same for those that ARGV lists from `first`, `count` times name, due and digest: a tick that was planned anew since then is
-- another one.
local function take_back_listed(q, record, first, count)
  local taken = 0
  for i = first, first + 3 * count - 1, 3 do
    local text = redis.call('HGET', record, ARGV[i])
    local tick = text and parse_tick(text)
    if tick and tick.due == tonumber(ARGV[i + 1]) and tick.digest == ARGV[i + 2] then
      taken = taken + take_back(q, record, ARGV[i], tick)
    end
  end
  return taken
end
