#!lua flags=no-writes,allow-oom
-- Walk over one place of a queue, a bounded number of jobs a call. The walk goes on after the last job that was seen, wherever
-- that is by now, so that jobs which come and go in between are the only ones that it may miss or meet again.
--   KEYS  the queue's keys
--   ARGV  1: the place   2: '1': from the end   3, 4: score and member of the last one that was seen; '': from the beginning
--         5, 6: only scores from this one on, and below that one ('-inf', '+inf': any)   7: how many at most
--         8: what is wanted of each: '' nothing, 'job' its envelope, 'error' its last error as well
--   Reply {now in ms, '1' if there are more, how many jobs each place has: ready, scheduled, parked, active, dead, completed,
--         cancelled, then for each job: member, score, envelope or '', last error as a JSON object or ''}
--@include queue
local q = queue_at(1)
local place, backwards, want = q[ARGV[1]], ARGV[2] == '1', ARGV[8]
local time = redis.call('TIME')

-- As the server orders members. (Lua's own `<` goes by the locale.)
local function is_less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- The index of the first one that is not before this score and member, and whether it is that very one.
local function index_of(score, member)
  if redis.call('ZSCORE', place, member) == score then
    return redis.call('ZRANK', place, member), true
  end
  local low = redis.call('ZCOUNT', place, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', place, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_less(redis.call('ZRANGE', place, middle, middle)[1], member) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, false
end

local size = redis.call('ZCARD', place)
local first = ARGV[5] == '-inf' and 0 or redis.call('ZCOUNT', place, '-inf', '(' .. ARGV[5])
local stop = ARGV[6] == '+inf' and size or redis.call('ZCOUNT', place, '-inf', '(' .. ARGV[6])
if ARGV[3] ~= '' then
  local index, found = index_of(ARGV[3], ARGV[4])
  if backwards then
    stop = math.min(stop, index)
  else
    first = math.max(first, found and index + 1 or index)
  end
end
local many = math.max(0, math.min(tonumber(ARGV[7]), stop - first))
local rows = {}
if many > 0 and backwards then
  rows = redis.call('ZREVRANGE', place, size - stop, size - stop + many - 1, 'WITHSCORES')
elseif many > 0 then
  rows = redis.call('ZRANGE', place, first, first + many - 1, 'WITHSCORES')
end

local reply = {time[1] * 1000 + math.floor(time[2] / 1000), stop - first > many and '1' or ''}
for _, name in ipairs({'ready', 'scheduled', 'parked', 'active', 'dead', 'completed', 'cancelled'}) do
  reply[#reply + 1] = redis.call('ZCARD', q[name])
end
for i = 1, #rows, 2 do
  local member = rows[i]
  -- A parked job's member is key NUL position NUL id.
  local id = ARGV[1] == 'parked' and string.match(member, '^[^%z]*%z[^%z]*%z(.*)$') or member
  local errors = want == 'error' and redis.call('HGET', q.errors, id) or ''
  reply[#reply + 1] = member
  reply[#reply + 1] = rows[i + 1]
  reply[#reply + 1] = want ~= '' and redis.call('HGET', q.jobs, id) or ''
  reply[#reply + 1] = string.match(errors, '^.*\n(.*)') or errors
end
return reply
