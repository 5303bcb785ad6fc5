-- The keys of the queue whose first key is KEYS[first]. The order is that of keys.py.
local FIELDS = {
  'jobs', 'ready', 'scheduled', 'active', 'runs', 'dead', 'completed', 'cancelled', 'results', 'errors', 'progress',
  'cancels', 'counts', 'policy', 'wake', 'timer', 'waiting', 'traits', 'slots', 'rates', 'fair',
  'parked', 'unique', 'expires', 'tags', 'batched', 'notices', 'failures', 'failures_seen', 'letters',
  'logs', 'breakers', 'operator',
}

local function queue_at(first)
  local q = {}
  for i = 1, #FIELDS do
    q[FIELDS[i]] = KEYS[first + i - 1]
  end
  return q
end
