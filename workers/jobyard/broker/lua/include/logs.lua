-- What jobs log: a head line 'DROPPED CALLER CALL NEXT' (lines that are gone; of which run the last lines are, and the number that
-- its next line has), then the newest lines, each a JSON array. A line whose number is below NEXT is known: it was sent twice.
local MOST_LINES, MOST_BYTES = 200, 32768

-- False: the caller does not hold the job.
local function keep_logs(q, who, id, its_call, first, text)
  local fence = who .. ' ' .. its_call .. ' '
  local run = redis.call('HGET', q.runs, id)
  if not run or string.sub(run, 1, #fence) ~= fence or not redis.call('ZSCORE', q.active, id) then
    return false
  end
  first = tonumber(first)
  local lines, dropped, expected = {}, 0, 0
  local stored = redis.call('HGET', q.logs, id)
  if stored then
    for line in string.gmatch(stored, '[^\n]+') do
      lines[#lines + 1] = line
    end
    local count, whose, number = string.match(table.remove(lines, 1), '^(%d+) (%S+ %S+ )(%d+)$')
    dropped = tonumber(count)
    if whose == fence then
      expected = tonumber(number)
    end
  end
  dropped = dropped + math.max(0, first - expected)
  local number = first
  for line in string.gmatch(text, '[^\n]+') do
    if number >= expected then
      lines[#lines + 1] = line
    end
    number = number + 1
  end
  local from, bytes = #lines + 1, 0
  while from > 1 and #lines - from + 2 <= MOST_LINES and bytes + #lines[from - 1] + 1 <= MOST_BYTES do
    from = from - 1
    bytes = bytes + #lines[from] + 1
  end
  local head = (dropped + from - 1) .. ' ' .. fence .. math.max(number, expected)
  redis.call('HSET', q.logs, id, table.concat({head, unpack(lines, from)}, '\n'))
  return true
end
