-- Looking at jobs of one queue `q`, wherever they are.
local PLACES = {
  {'ready', 'waiting'}, {'scheduled', 'delayed'}, {'active', 'active'}, {'completed', 'completed'}, {'dead', 'dead'},
  {'cancelled', 'cancelled'},
}

-- The ids of the jobs that are parked under a key. Kept for this call: a page may be all of one key.
local parked = {}
local function is_parked(id)
  local job = redis.call('EXISTS', q.parked) == 1 and traits_of(q, {id})[1]
  for _, key in ipairs(job and parking_keys(job) or {}) do
    if not parked[key] then
      parked[key] = {}
      for _, row in ipairs(redis.call('ZRANGEBYLEX', q.parked, '[' .. key .. '\0', '(' .. key .. '\1')) do
        parked[key][string.match(row, '^[^%z]*%z[^%z]*%z(.*)$')] = true
      end
    end
    if parked[key][id] then
      return true
    end
  end
  return false
end

-- Where a job is: its state and the score of its place.
local function place_of(id)
  for _, place in ipairs(PLACES) do
    local score = redis.call('ZSCORE', q[place[1]], id)
    if score then
      return place[2], score
    end
  end
  if is_parked(id) then
    return 'parked', '0'
  end
end

-- All about one job: {id, state, score, envelope, run, result, errors, progress, position in `ready` from 0 or -1, '1' if it
-- shall be cancelled}; state 'unknown' and nothing else where there is no such job.
local function look_at(id)
  local state, score = place_of(id)
  return not state and {id, 'unknown'} or {
    id, state, score, redis.call('HGET', q.jobs, id) or '', redis.call('HGET', q.runs, id) or '',
    redis.call('HGET', q.results, id) or '', redis.call('HGET', q.errors, id) or '',
    redis.call('HGET', q.progress, id) or '',
    state == 'waiting' and redis.call('ZRANK', q.ready, id) or -1,
    redis.call('HEXISTS', q.cancels, id) == 1 and '1' or '',
  }
end
