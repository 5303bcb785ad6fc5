#!lua flags=no-writes,allow-oom
-- The ledger of one queue, read at one instant.
--   KEYS  the queue's keys
--   Reply {now in ms, waiting, delayed, parked, active, dead, kept completed, kept cancelled, envelopes, next due in ms or 0,
--         envelope of the first waiting job or '', counts as a flat list, policy as a flat list}
--@include queue
local time = redis.call('TIME')
local q = queue_at(1)
local due = redis.call('ZRANGE', q.scheduled, 0, 0, 'WITHSCORES')[2]
local first = redis.call('ZRANGE', q.ready, 0, 0)[1]
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  redis.call('ZCARD', q.ready), redis.call('ZCARD', q.scheduled), redis.call('ZCARD', q.parked), redis.call('ZCARD', q.active),
  redis.call('ZCARD', q.dead), redis.call('ZCARD', q.completed), redis.call('ZCARD', q.cancelled),
  redis.call('HLEN', q.jobs), due and math.floor(tonumber(due)) or 0,
  first and redis.call('HGET', q.jobs, first) or '',
  redis.call('HGETALL', q.counts), redis.call('HGETALL', q.policy),
}
