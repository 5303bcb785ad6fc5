-- The keys of the queue whose first key is KEYS[first]; a queue has FIELDS of them. The order is that of keys.py. Written out, since
-- a table that is made at once costs a fraction of one that grows field by field, and every call makes one for each queue.
local FIELDS = 33
local function queue_at(first)
  local keys = KEYS
  return {
    jobs = keys[first], ready = keys[first + 1], scheduled = keys[first + 2], active = keys[first + 3],
    runs = keys[first + 4], dead = keys[first + 5], completed = keys[first + 6], cancelled = keys[first + 7],
    results = keys[first + 8], errors = keys[first + 9], progress = keys[first + 10], cancels = keys[first + 11],
    counts = keys[first + 12], policy = keys[first + 13], wake = keys[first + 14], timer = keys[first + 15],
    waiting = keys[first + 16], traits = keys[first + 17], slots = keys[first + 18], rates = keys[first + 19],
    fair = keys[first + 20], parked = keys[first + 21], unique = keys[first + 22], expires = keys[first + 23],
    tags = keys[first + 24], batched = keys[first + 25], notices = keys[first + 26], failures = keys[first + 27],
    failures_seen = keys[first + 28], letters = keys[first + 29], logs = keys[first + 30], breakers = keys[first + 31],
    operator = keys[first + 32],
  }
end
