#!lua flags=no-writes,allow-oom
-- The worker processes that have said that they are there.
--   KEYS  1: the register of workers
--   Reply a flat list: token, until when that is true in ms, JSON object
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local found = {}
for i = 1, #all, 2 do
  local expires, about = string.match(all[i + 1], '^(%d+) (.*)$')
  if expires and tonumber(expires) >= now then
    found[#found + 1] = all[i]
    found[#found + 1] = tonumber(expires)
    found[#found + 1] = about
  end
end
return found
