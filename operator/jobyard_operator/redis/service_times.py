"""How long jobs take: from what worker processes say of themselves at two moments. Pure.

A process that serves several queues doesn't say which one its time went to, so it is left out. Pods of a JobQueue serve one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from jobyard.broker.workers import WorkerInfo


def service_times(before: Sequence[WorkerInfo], now: Sequence[WorkerInfo]) -> dict[str, float]:
    """The mean seconds of the runs that ended between two lists of workers, by queue; completed and failed ones count alike.

    Args:
        before, now: two lists of all workers, one after the other. Of a process that is only in the second one all runs count if
            it has started since. Where there was no list before, give the first one twice.

    Returns:
        Only queues of which a run has ended meanwhile, as far as is known: processes say it every 5 s, and one that has ended in
        between no more.
    """
    known = {one.token: one for one in before}
    last = max((one.seen_at for one in before), default=0)
    runs: defaultdict[str, int] = defaultdict(int)
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in now:
        ended, took = one.completed + one.failed, one.seconds
        earlier = known.get(one.token)
        if earlier is None:
            if one.started_at < last:
                continue  # It was there and had not said so for a while. What it did in that time can't be told.
        # A counter that is lower than before has begun anew.
        elif ended >= earlier.completed + earlier.failed and took >= earlier.seconds:
            ended, took = ended - earlier.completed - earlier.failed, took - earlier.seconds
        # No run takes no time: a process that says so doesn't tell (it is of an older version).
        if len(one.queues) == 1 and ended > 0 and took > 0:
            runs[one.queues[0]] += ended
            seconds[one.queues[0]] += took
    means = {queue: seconds[queue] / count for queue, count in runs.items()}
    return {queue: mean for queue, mean in means.items() if mean > 0}  # The smallest number of seconds has no half.
