-- Accept new jobs into one queue.
--   KEYS  1: the caller's call number; then the queue's keys
--   ARGV  1: call number   2: '1': accept them whatever the queue's rate, since they follow from a job that has ended
--         then five for each job: id, envelope, priority (0-100), delay in ms (0: now), wishes (see arrive.lua)
--   Reply {how many jobs were new, then index and id of each job that stands in the way of a unique one, or is in another batch}
--         {-1, …} if this very call was applied before (its reply got lost)
--         {-2, ms} if the queue's rate is exceeded and its policy is to reject: nothing was accepted; come back then
-- Known ids are left alone, in whatever state the job is. Refused when Redis is out of memory.
--@include once
--@include queue
--@include clock
--@include position
--@include wake
--@include traits
--@include notices
--@include retention
--@include rates
--@include arrive
local q = queue_at(2)
local jobs = {}
for i = 3, #ARGV, 5 do
  jobs[#jobs + 1] = {ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4]}
end

if applied_before(KEYS[1], ARGV[1]) then
  local reply = {-1}
  for i = 1, #jobs do
    local wishes = jobs[i][5] ~= '' and parse_wishes(jobs[i][5]) or {unique = '', batch = ''}
    local holder = wishes.unique ~= '' and redis.call('HGET', q.unique, wishes.unique)
    local other = holder and string.match(holder, '^%S+ (.*)$')
    local batch = wishes.batch ~= '' and redis.call('HGET', q.batched, jobs[i][1])
    if (other and other ~= jobs[i][1]) or (batch and batch ~= wishes.batch) then
      reply[#reply + 1] = i
      reply[#reply + 1] = other or jobs[i][1]
    end
  end
  return reply
end

local mode = redis.call('HGET', q.policy, 'rate_mode')
if mode == 'reject' and ARGV[2] ~= '1' then
  local policy = read_policy(q)
  local saved = {}
  for i = 1, #jobs do
    -- A job that is known already is left alone, so it uses no rate either.
    local known = redis.call('HEXISTS', q.jobs, jobs[i][1]) == 1
    local key = jobs[i][5] ~= '' and parse_wishes(jobs[i][5]).key or ''
    local checks = {}
    if policy.rate and not known then
      checks[#checks + 1] = {'', policy.rate, policy.rate_period, policy.rate_burst}
    end
    if policy.key_rate and not known and key ~= '' then
      checks[#checks + 1] = {key, policy.key_rate, policy.key_rate_period, policy.key_rate_burst}
    end
    for _, check in ipairs(checks) do
      local at = next_start(q, unpack(check))
      if at > now then
        -- All or nothing: what was charged for the jobs before is given back.
        for name, score in pairs(saved) do
          if score then
            redis.call('ZADD', q.rates, score, name)
          else
            redis.call('ZREM', q.rates, name)
          end
        end
        -- This call was not applied: if its reply gets lost, the repetition must not be told that it was.
        redis.call('SET', KEYS[1], ARGV[1] - 1, 'PX', 120000)
        return {-2, at - now}
      end
      if saved[check[1]] == nil then
        saved[check[1]] = redis.call('ZSCORE', q.rates, check[1])
      end
      charge(q, check[1], check[2], check[3])
    end
  end
end

local new, taken = arrive(q, jobs)
return {new, unpack(taken)}
