-- Which jobs to start: the best positions over all queues that are `open`.

-- What one call brings is no more than so many bytes (or one job): as sizes.py says. Only queues that have had a large job are
-- measured.
local MOST_BYTES = 4194304
local bytes = 0
local function fits(i, id)
  if not large[i] then
    return true
  end
  local size = redis.call('HSTRLEN', queues[i].jobs, id)
  bytes = bytes + size
  return bytes <= MOST_BYTES or bytes == size
end

-- How many of the first jobs of a queue fit.
local function fitting(i, most)
  if not large[i] then
    return most
  end
  for j, id in ipairs(redis.call('ZRANGE', queues[i].ready, 0, most - 1)) do
    if not fits(i, id) then
      return j - 1
    end
  end
  return most
end

local function split(rows)
  local ids, positions = {}, {}
  for j = 1, #rows, 2 do
    ids[#ids + 1] = rows[j]
    positions[#positions + 1] = rows[j + 1]
  end
  return ids, positions
end

-- One queue: its head.
local function from_one(i)
  local ids, positions = split(redis.call('ZPOPMIN', queues[i].ready, fitting(i, want)))
  local attempts, envelopes = start(i, ids, positions)
  for j = 1, #ids do
    give(i, ids[j], attempts[j], envelopes[j])
  end
end

-- Several: merged by position.
local function from_many(open, ageing)
  local heads, taken, order = {}, {}, {}
  for k, i in ipairs(open) do
    local ids, positions = split(redis.call('ZRANGE', queues[i].ready, 0, want - 1, 'WITHSCORES'))
    heads[k], taken[k] = {ids = ids, positions = positions, position = comparable(positions[1], ageing)}, 0
  end
  for _ = 1, want do
    local best, best_position
    for k, head in ipairs(heads) do
      local position = head.position
      if position and (not best or position < best_position) then
        best, best_position = k, position
      end
    end
    if not best then
      break
    end
    local head = heads[best]
    if not fits(open[best], head.ids[taken[best] + 1]) then
      break
    end
    taken[best] = taken[best] + 1
    head.position = comparable(head.positions[taken[best] + 1], ageing)
    order[#order + 1] = best
  end
  for k, i in ipairs(open) do
    local head = heads[k]
    if taken[k] > 0 then
      head.ids = {unpack(head.ids, 1, taken[k])}
      redis.call('ZREM', queues[i].ready, unpack(head.ids))
      head.attempts, head.envelopes = start(i, head.ids, head.positions)
    end
    taken[k] = 0
  end
  for _, k in ipairs(order) do
    local head, j = heads[k], taken[k] + 1
    taken[k] = j
    give(open[k], head.ids[j], head.attempts[j], head.envelopes[j])
  end
end

-- Queues with limits: one by one, since any job may turn out to have to wait.
local function from_limited(open, ageing)
  local left = want
  while left > 0 do
    local best, best_position
    for _, i in ipairs(open) do
      local head = not blocked[i] and redis.call('ZRANGE', queues[i].ready, 0, 0, 'WITHSCORES')
      local position = head and comparable(head[2], ageing)
      if position and (not best or position < best_position) then
        best, best_position = i, position
      end
    end
    if not best then
      return
    end
    local ids, positions
    if large[best] and not fits(best, redis.call('ZRANGE', queues[best].ready, 0, 0)[1]) then
      return
    end
    if policies[best].limited then
      ids, positions = take_limited(best, #open == 1 and not large[best] and left or 1)
    else
      ids, positions = split(redis.call('ZPOPMIN', queues[best].ready))
    end
    if #ids > 0 then
      local attempts, envelopes = start(best, ids, positions)
      for j = 1, #ids do
        give(best, ids[j], attempts[j], envelopes[j])
      end
    end
    left = left - math.max(1, #ids)
  end
end
