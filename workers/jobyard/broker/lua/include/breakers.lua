-- A circuit breaker for each dependency of a queue: when enough attempts in a row have failed, its jobs are held until one of
-- them, the probe, shows that the dependency works again. `breakers` holds for each dependency that has failed of late
-- STATE FAILURES UNTIL PAUSE SINCE PROBE (times in ms, PAUSE in ms), and, behind a NUL, the last error:
--   closed   it has failed, but not often enough
--   open     no job of it starts before UNTIL
--   half     the next one that comes is the probe; if one was called back for that and none has come by UNTIL, another one is
--            called (UNTIL 0: none is held)
--   probing  PROBE runs; the others are held
--   closing  it works; those that were held come back, some with each look
-- Jobs that are held are parked under a key that no user can name.
local HELD = '\1'
local FAILURES, PAUSE, LONGEST_PAUSE, CALL_AGAIN, BACK_AT_ONCE = 5, 30000, 600000, 15000, 500

-- Asked once a call; what this call writes itself is known (see write_breaker).
local function has_breakers(q)
  if q.guarded == nil then
    q.guarded = redis.call('EXISTS', q.breakers) == 1
  end
  return q.guarded
end

local function read_breaker(q, dependency)
  local text = redis.call('HGET', q.breakers, dependency)
  if not text then
    return nil
  end
  local state, failures, till, pause, since, probe, error =
    string.match(text, '^(%a+) (%d+) (%d+) (%d+) (%d+) ([^%z]*)%z?(.*)$')
  return {
    state = state, failures = tonumber(failures), till = tonumber(till), pause = tonumber(pause), since = tonumber(since),
    probe = probe, error = error,
  }
end

local function write_breaker(q, dependency, breaker)
  local fields = {
    breaker.state, exact(breaker.failures), exact(breaker.till), exact(breaker.pause), exact(breaker.since), breaker.probe or '',
  }
  q.guarded = true
  redis.call('HSET', q.breakers, dependency, table.concat(fields, ' ') .. '\0' .. (breaker.error or ''))
end

-- Whether a job of the dependency has to be held now.
local function breaker_holds(q, dependency)
  local breaker = read_breaker(q, dependency)
  return breaker ~= nil and (breaker.state == 'probing' or breaker.state == 'open' and breaker.till > now)
end

-- A job of the dependency starts: where the dependency is being tried, it is the probe.
local function breaker_tries(q, dependency, id)
  local breaker = read_breaker(q, dependency)
  if breaker and (breaker.state == 'open' or breaker.state == 'half') then
    breaker.state, breaker.probe, breaker.till = 'probing', id, 0
    write_breaker(q, dependency, breaker)
  end
end

local function open_breaker(q, dependency, breaker, pause)
  if breaker.state ~= 'probing' and breaker.state ~= 'half' then
    breaker.since = now
  end
  breaker.state, breaker.probe, breaker.pause, breaker.till = 'open', '', pause, now + pause
  write_breaker(q, dependency, breaker)
end

-- It works: whatever is held comes back.
local function close_breaker(q, dependency, breaker)
  breaker.state, breaker.failures, breaker.till, breaker.probe = 'closing', 0, now, ''
  write_breaker(q, dependency, breaker)
  wake(q)
end

-- An attempt of a job has failed in a way for which its dependency may be to blame. Call it while the job is active. `detail` is the
-- error as a JSON object, or ''.
local function dependency_failed(q, policy, id, detail)
  local job = has_traits(q) and traits_of(q, {id})[1]
  if not job or job.dependency == '' then
    return
  end
  local first = tonumber(policy.breaker_pause) or PAUSE
  local longest = math.max(first, tonumber(policy.breaker_pause_max) or LONGEST_PAUSE)
  local breaker = read_breaker(q, job.dependency) or {state = 'closed', failures = 0, till = 0, pause = 0, since = 0}
  local readable, error = pcall(cjson.decode, detail)
  if readable and breaker.state ~= 'open' then
    -- Of an encrypted job's error only the type can be read.
    local text = tostring(error.error) .. (type(error.message) == 'string' and ': ' .. error.message or '')
    breaker.error = string.gsub(string.sub(text, 1, 200), '%z', '')
  end
  if breaker.state == 'probing' then
    if breaker.probe == id then
      breaker.failures = breaker.failures + 1
      open_breaker(q, job.dependency, breaker, math.min(2 * breaker.pause, longest))
    end
  elseif breaker.state == 'closed' or breaker.state == 'closing' then
    breaker.failures = breaker.failures + 1
    if breaker.failures >= (tonumber(policy.breaker_failures) or FAILURES) then
      open_breaker(q, job.dependency, breaker, first)
    else
      write_breaker(q, job.dependency, breaker)
    end
  end
end

-- Jobs are completed. Call it while they are active.
local function dependencies_work(q, ids)
  if not has_breakers(q) or not has_traits(q) then
    return
  end
  for _, job in ipairs(traits_of(q, ids)) do
    local breaker = job.dependency ~= '' and read_breaker(q, job.dependency)
    if breaker and breaker.state == 'closed' then
      redis.call('HDEL', q.breakers, job.dependency)
    elseif breaker and breaker.state == 'closing' and breaker.failures > 0 then
      breaker.failures = 0
      write_breaker(q, job.dependency, breaker)
    elseif breaker and breaker.state == 'probing' and breaker.probe == job.id then
      close_breaker(q, job.dependency, breaker)
    end
  end
end

-- Jobs are active no more. If one of them was a probe and has shown nothing, the next one is.
local function probes_left(q, ids)
  if not has_breakers(q) or not has_traits(q) then
    return
  end
  for _, job in ipairs(traits_of(q, ids)) do
    local breaker = job.dependency ~= '' and read_breaker(q, job.dependency)
    if breaker and breaker.state == 'probing' and breaker.probe == job.id then
      breaker.state, breaker.probe, breaker.till = 'half', '', now
      write_breaker(q, job.dependency, breaker)
      wake(q)
    end
  end
end

-- What time does to breakers. Returns when to look again, in ms (nil: nothing has to be looked at), and whether jobs have to be
-- looked at one by one, since there is a breaker that is not closed.
local function look_after_breakers(q)
  if not has_breakers(q) then
    return nil, false
  end
  local soonest, guarded = nil, false
  local all = redis.call('HKEYS', q.breakers)
  for _, dependency in ipairs(all) do
    local breaker = read_breaker(q, dependency)
    if breaker.state == 'closing' then
      local back = unpark(q, HELD .. dependency, BACK_AT_ONCE)
      if back == BACK_AT_ONCE then
        soonest = now
      elseif breaker.failures > 0 then
        breaker.state = 'closed'
        write_breaker(q, dependency, breaker)
      else
        redis.call('HDEL', q.breakers, dependency)
      end
    elseif (breaker.state == 'open' or breaker.state == 'half' and breaker.till > 0) and breaker.till <= now then
      breaker.state = 'half'
      breaker.till = unpark(q, HELD .. dependency, 1) == 1 and now + CALL_AGAIN or 0
      write_breaker(q, dependency, breaker)
    end
    if breaker.till > now and (breaker.state == 'open' or breaker.state == 'half') then
      soonest = math.min(soonest or breaker.till, breaker.till)
    end
    guarded = guarded or breaker.state ~= 'closed'
  end
  return soonest, guarded
end
