#!lua flags=no-writes,allow-oom
-- Everything about some jobs of one queue, each read at one instant.
--   KEYS  the queue's keys
--   ARGV  ids
--   Reply for each id a list: {id, state, score, envelope, run, result, errors, progress, position in `ready` from 0 or -1,
--         '1' if it shall be cancelled}; state 'unknown' and nothing else where there is no such job
--@include queue
local q = queue_at(1)
local PLACES = {
  {'ready', 'waiting'}, {'scheduled', 'delayed'}, {'active', 'active'}, {'completed', 'completed'}, {'dead', 'dead'},
  {'cancelled', 'cancelled'},
}
local reply = {}
for i = 1, #ARGV do
  local id, entry = ARGV[i], nil
  for _, place in ipairs(PLACES) do
    local score = redis.call('ZSCORE', q[place[1]], id)
    if score then
      entry = {
        id, place[2], score, redis.call('HGET', q.jobs, id) or '', redis.call('HGET', q.runs, id) or '',
        redis.call('HGET', q.results, id) or '', redis.call('HGET', q.errors, id) or '',
        redis.call('HGET', q.progress, id) or '',
        place[1] == 'ready' and redis.call('ZRANK', q.ready, id) or -1,
        redis.call('HEXISTS', q.cancels, id) == 1 and '1' or '',
      }
      break
    end
  end
  reply[i] = entry or {id, 'unknown'}
end
return reply
