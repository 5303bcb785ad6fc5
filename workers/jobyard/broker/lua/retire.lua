#!lua flags=allow-oom
-- Workers that run no job of a queue get no new ones of it for some time, so that they can be ended.
--   KEYS  the queue's keys
--   ARGV  1: for how many ms   then the workers' tokens
--   Reply those of the tokens that hold no job of the queue: they get none now
--@include queue
--@include clock
--@include wake
--@include traits
--@include notices
--@include retention
--@include breakers
--@include leave
--@include retired
local q = queue_at(1)
local busy = {}
local ids = redis.call('ZRANGE', q.active, 0, -1)
for at = 1, #ids, 1000 do
  for _, run in ipairs(redis.call('HMGET', q.runs, unpack(ids, at, math.min(at + 999, #ids)))) do
    busy[run and parse_run(run).caller or ''] = true
  end
end
local watcher = string.match(redis.call('GET', q.timer) or '', '^%d+ (.*)$')
local reply = {}
for i = 2, #ARGV do
  local worker = ARGV[i]
  if not busy[worker] then
    redis.call('HSET', q.policy, 'retired:' .. worker, exact(now + tonumber(ARGV[1])))
    reply[#reply + 1] = worker
    if worker == watcher then
      -- Another one has to wait for what is due next.
      redis.call('DEL', q.timer)
      wake(q)
    end
  end
end
forget_retired(q, read_policy(q))
return reply
