#!lua flags=allow-oom
-- A worker process says that it is there. What is not said again in time is not true any more.
--   KEYS  1: the register of workers
--   ARGV  1: the worker's token   2: for how many ms this is true   3: a JSON object
--         4: '1' to remove the entries of others that have run out as well
--   Reply how many entries were removed
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + ARGV[2]) .. ARGV[3])
local removed = 0
if ARGV[4] == '1' then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^(%d+) ') or 0) < now then
      removed = removed + redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
return removed
