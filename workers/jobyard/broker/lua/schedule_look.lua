#!lua flags=allow-oom
-- What is recorded of a schedule, after noting what has become of its jobs. Of those that have ended the newest are kept.
--   KEYS  1: the schedules of the queue   2: the schedule's record   then the queue's keys
--   ARGV  1: uid
--   Reply {now in ms, what is shown of the schedule or '', {name, value, …} of counts, then for each tick: name, due time in ms, job
--         id, digest, state, end in ms or 0}
--         state: Planned (not due) | Waiting | Running | Succeeded | Failed | Cancelled | Skipped | Unknown
--@include queue
--@include clock
--@include traits
local q = queue_at(3)
--@include look
--@include schedules
local KEEP = 200
local record = KEYS[2]
local all = redis.call('HGETALL', record)
local counts, ticks, ended = {}, {}, {}
for i = 1, #all, 2 do
  if string.find(all[i], '^[@!]') then
    local tick = parse_tick(all[i + 1])
    tick.name = all[i]
    tick.shown = tick.state
    if tick.state == '-' then
      local skipped = redis.call('HGET', q.operator, 'skipped:' .. tick.id)
      local state, score
      if not skipped then
        state, score = place_of(tick.id)
      end
      if state == 'delayed' and tick.due > now then
        tick.shown = 'Planned'
      elseif state and not ENDED[state] then
        tick.shown = state == 'active' and 'Running' or 'Waiting'
      else
        tick.shown = skipped and 'Skipped' or state and ENDED[state] or 'Unknown'
        tick.state, tick.ended = tick.shown, exact(math.floor(tonumber(skipped or score or 0)))
        write_tick(record, tick.name, tick)
        if tick.state ~= 'Unknown' then
          redis.call('HINCRBY', record, string.lower(tick.state), 1)
        end
        redis.call('HDEL', q.operator, 'tick:' .. tick.id, 'skipped:' .. tick.id)
      end
    end
    tick.at = tonumber(string.match(tick.name, '^@(%d+)$') or tick.due)
    ticks[#ticks + 1] = tick
    if tick.state ~= '-' then
      ended[#ended + 1] = tick
    end
  end
end

table.sort(ended, function(a, b) return a.at > b.at end)
local floor
for i = KEEP + 1, #ended do
  local tick = ended[i]
  tick.gone = true
  redis.call('HDEL', record, tick.name)
  if string.sub(tick.name, 1, 1) == '@' then
    floor = math.max(floor or 0, tick.at)
  end
end
if floor and floor > tonumber(redis.call('HGET', record, 'floor') or -1) then
  redis.call('HSET', record, 'floor', exact(floor))
end

for _, name in ipairs({'recorded', 'succeeded', 'failed', 'cancelled', 'skipped', 'floor'}) do
  counts[#counts + 1] = name
  counts[#counts + 1] = redis.call('HGET', record, name) or '0'
end
local reply = {now, redis.call('HGET', KEYS[1], ARGV[1]) or '', counts}
for _, tick in ipairs(ticks) do
  if not tick.gone then
    for _, part in ipairs({tick.name, exact(tick.due), tick.id, tick.digest, tick.shown, tick.ended}) do
      reply[#reply + 1] = part
    end
  end
end
return reply
