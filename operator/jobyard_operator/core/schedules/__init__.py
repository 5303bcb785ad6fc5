"""Schedules: when they fire, what is to be done now, what is to be said of them. Pure.

`cron` and `expressions` read what may stand in a schedule; `walls` brings wall times and time zones together; `ticks` lists the
times at which a schedule fires; `planning` decides; `status` tells. What Redis has recorded comes and goes through
`jobyard_operator.redis.schedules`, `redis.schedules` below.

A controller makes these calls, for one JobSchedule after the other (two at a time do no harm), when the resource changes, when
`Plan.again` is over, and for all of them when it begins to lead:

1. Observe: `redis.schedules.observe(broker, queue, uid)` -> `Seen`. If Redis can't be reached: `new_status(schedule, None, None,
   error=…)`, and again soon.
2. Decide: `plan(schedule, seen)` -> `Plan`. A `ScheduleError` is the resource's fault, also in 3: apply `taken_back(seen)`, and
   `new_status(…, problem=str(error))`. The same where `queueRef` names no JobQueue.
3. Apply: `redis.schedules.apply(broker, queue, epoch, schedule, plan.effects)`. One script, fenced by the leader's epoch.
   `Superseded`: another one leads; stop.
4. Tell: observe again if there were effects, `new_status(…)`, and write it if `is_news(…)`. Redis first, then the status: one
   that gets lost is only written later. Look again at `plan.again`.

Before 1, `commands.new_commands(schedule)`: `jobyard.dev/run-now` becomes `redis.schedules.run_now(…, token)`, and
`commands.handled(…)` the status to go on with.

A schedule that is deleted, or was moved to another queue (`status.queue`), is forgotten in its old queue:
`redis.schedules.forget(…)`. `broker.schedules.uids(queue)` shows those that were deleted while nobody was looking. There is no
finalizer.
"""

from jobyard_operator.core.schedules.cron import ScheduleError
from jobyard_operator.core.schedules.planning import Effect, Enqueue, Missed, Plan, TakeBack, digest, plan, taken_back
from jobyard_operator.core.schedules.seen import Recorded, Seen
from jobyard_operator.core.schedules.status import is_news, new_status
from jobyard_operator.core.schedules.ticks import Calendar, Tick, job_id, next_ticks, run_id, ticks

__all__ = [
    "Calendar", "Effect", "Enqueue", "Missed", "Plan", "Recorded", "ScheduleError", "Seen", "TakeBack", "Tick",
    "digest", "is_news", "job_id", "new_status", "next_ticks", "plan", "run_id", "taken_back", "ticks",
]  # fmt: skip
