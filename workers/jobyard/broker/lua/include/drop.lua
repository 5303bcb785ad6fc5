-- Jobs that were taken from their place are forgotten: nobody wants them any more.
local function drop(q, ids)
  tell_batches(q, ids, 'discarded')
  forget(q, ids)
  redis.call('HINCRBY', q.counts, 'discarded', #ids)
  announce(q, ids)
end
