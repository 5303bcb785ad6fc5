#!lua flags=allow-oom
-- A command of the operator's acts on some dead letters of one queue, and notes how far it is: both, or neither. Another operator
-- goes on from there; what was done is not done again.
--   KEYS  the queue's keys
--   ARGV  1: epoch, see epoch.lua   2: which command: the JobQueue's UID and the annotation   3: digest of its value
--         4: retry | discard   5: how many it may move in all; '': any number   6: how many a second; '': as fast as it goes
--         7: '1': it ends with this   then the ids of dead letters
--         Without a record: 2 is '', and 3 the time in ms until when the letters must have died.
--   Reply {when it began in ms, how many it has moved, 1 if it has ended, how many it may move now}, or {-1, epoch} from a leader
--         that is none any more
-- A letter that died after the command began is none of its: perhaps the command itself has retried it.
--@include queue
--@include clock
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include breakers
--@include leave
--@include drop
--@include letters
--@include epoch
-- DIGEST BEGAN MOVED ENDED NEXT, the last of which is the time in ms of the next one at its rate. Kept for a month.
local RECORD = '^(%S+) (%d+) (%d+) (%d) (%S+)$'
local PREFIX, KEPT = 'command ', 30 * 86400000
local LONGEST_DELAY = 20 * 366 * 86400000 -- as delivery.py says
-- What could not be discarded in time (nobody was there to do it) is not made up for, but for so many ms.
local MADE_UP = 500

local q = queue_at(1)
local old = superseded(q, ARGV[1])
if old then
  return old
end
local field, digest, action = PREFIX .. ARGV[2], ARGV[3], ARGV[4]
local limit, rate = tonumber(ARGV[5]) or math.huge, tonumber(ARGV[6])

local recorded = ARGV[2] ~= ''
local known, began, moved, ended, next_at = string.match(redis.call('HGET', q.operator, field) or '', RECORD)
if not recorded then
  began, moved, ended, next_at = tonumber(digest), 0, 0, now
elseif known == digest then
  began, moved, ended, next_at = tonumber(began), tonumber(moved), tonumber(ended), tonumber(next_at)
else
  began, moved, ended, next_at = now, 0, 0, now
  local all = redis.call('HGETALL', q.operator)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, #PREFIX) == PREFIX then
      local _, its_beginning = string.match(all[i + 1], RECORD)
      if not its_beginning or tonumber(its_beginning) < now - KEPT then
        redis.call('HDEL', q.operator, all[i])
      end
    end
  end
end

-- Those that are retried at a rate are delayed; what is discarded at a rate has to wait here.
local slowly = rate and action == 'discard'
if slowly then
  next_at = math.max(next_at, now - MADE_UP)
end
local function allowance()
  local most = slowly and math.floor((now - next_at) * rate / 1000) + 1 or math.huge
  return math.max(0, math.min(most, limit - moved))
end

if ended == 0 then
  local letters, gone, left = {}, {}, allowance()
  for i = 8, #ARGV do
    local score = #letters + #gone < left and redis.call('ZSCORE', q.dead, ARGV[i])
    if score and split_priority(score) <= began then
      if action == 'discard' then
        redis.call('ZREM', q.dead, ARGV[i])
        gone[#gone + 1] = ARGV[i]
      else
        local due = rate and math.max(next_at, now) or now
        letters[#letters + 1] = {ARGV[i], math.min(math.floor(due - now), LONGEST_DELAY), ''}
        next_at = rate and due + 1000 / rate or next_at
      end
    end
  end
  if #letters > 0 then
    moved = moved + revive(q, letters)
  end
  if #gone > 0 then
    drop(q, gone)
    moved = moved + #gone
    next_at = slowly and next_at + #gone * 1000 / rate or next_at
  end
  if ARGV[7] == '1' then
    ended = 1
  end
  if recorded then
    local record = {digest, exact(began), exact(moved), ended, string.format('%.3f', next_at)}
    redis.call('HSET', q.operator, field, table.concat(record, ' '))
  end
end
return {began, moved, ended, math.min(allowance(), 2147483647)}
