"""The client's side of `exchange.lua`: what is done goes out, what comes next comes in, in one call.

Operations are collected here by any thread and leave with the next call. A call whose reply got lost is sent again, the
very same, until it is answered: nothing that a worker finished is forgotten, however long Redis is away.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobyard.broker.delivery import LONGEST_DELAY, Delivery
from jobyard.broker.journal import Journal
from jobyard.broker.keys import QueueKeys
from jobyard.broker.link import Link
from jobyard.broker.protection import Protection
from jobyard.broker.scripts import Argument, script
from jobyard.broker.sizes import MAX_CALL

#: Operations of one kind and queue in one call, and jobs fetched by one. Lua's stack bounds both.
_BULK: Final = 1000


@dataclass(slots=True)
class Answer:
    """What one call brought.

    Attributes:
        deliveries: jobs to run.
        wait: seconds that an idle caller may block at most; None: until it is woken.
        evicted: how many dead letters had to go because of the retention policy.
        stale: how many operations came too late, since the job was no longer ours.
        posted: queues that have something for batches, see `notices`.
        retired: queues of which this worker gets no new jobs for now, see `retiring`.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    wait: float | None = None
    evicted: int = 0
    stale: int = 0
    posted: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)


class Exchange:
    """All calls of one worker process to one node.

    Args:
        link: used only here.
        namespace: prefix of all keys.
        queues: the queues to fetch from.
        token: the worker's name in fences; no spaces.
        lease: seconds.
        journal: where completed jobs stand until they are delivered.
        protection: opens what is encrypted or signed.
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        queues: Sequence[str],
        token: str,
        lease: float,
        journal: Journal | None = None,
        protection: Protection | None = None,
    ) -> None:
        self._link = link
        self._namespace = namespace
        self._fetching = [QueueKeys(namespace, name) for name in queues]
        self._call_key = self._fetching[0].call(token)
        self._token = token.encode()
        self._lease = int(lease * 1000)
        self._script = script("exchange")
        self._journal = journal
        self._protection = protection

        self._mutex = threading.Lock()  # guards what is collected
        self._done: defaultdict[str, list[Delivery]] = defaultdict(list)
        self._back: defaultdict[str, list[Delivery]] = defaultdict(list)
        self._ends: list[Delivery] = []
        self._weight = 0  # bytes of all that
        self._logged: list[Delivery] = []  # ended runs whose log has something that is not sent
        self.oldest: float = 0.0  # monotonic time of the first operation that has not left; 0: none

        self._calling = threading.Lock()  # one call at a time
        self._number = 0
        self._left = False  # whether there was too much for one call
        self._unanswered: tuple[list[bytes], list[Argument], list[str], float] | None = None  # with when it began

    @property
    def queues(self) -> list[str]:
        """The names of the queues that are fetched from."""
        return [keys.name for keys in self._fetching]

    @property
    def pending(self) -> bool:
        """Whether something has not left yet, or is not answered."""
        return self.oldest != 0.0 or self._unanswered is not None

    def settle(self, delivery: Delivery) -> None:
        """Collect the end of a run. It leaves with the next call."""
        outcome = delivery.outcome()
        with self._mutex:
            if delivery.lines is not None:
                delivery.lines.closed = True
                self._logged.append(delivery)
            if outcome == "completed" and not delivery.follow_ups:
                self._done[delivery.queue_name].append(delivery)
                if delivery.result is not None:
                    self._weight += len(delivery.result)
                if self._journal is not None:
                    self._journal.add(delivery.message_id, delivery.call, delivery.result)
            elif outcome == "back" and not delivery.follow_ups:
                self._back[delivery.queue_name].append(delivery)
            else:
                self._ends.append(delivery)
                self._weight += _weigh(delivery)
            if self.oldest == 0.0:
                self.oldest = time.monotonic()

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Collect jobs that were not started: they return to their old position, the attempt doesn't count."""
        if not deliveries:
            return
        with self._mutex:
            for delivery in deliveries:
                self._back[delivery.queue_name].append(delivery)
            if self.oldest == 0.0:
                self.oldest = time.monotonic()

    def call(self, want: int) -> Answer:
        """Send what is collected and fetch up to `want` jobs, but no more than a thousand.

        Raises:
            BrokerError: no answer. Nothing is lost: the next call begins with what this one could not deliver.
        """
        with self._calling:
            answer = Answer()
            if want == 0 and not self.pending:
                return answer  # Another thread's call took it along.
            while True:
                if self._unanswered is None:
                    self._unanswered = *self._next(want), time.monotonic()
                keys, arguments, names, began = self._unanswered
                reply = self._link.call(self._script, keys, arguments)
                self._unanswered = None
                if self._journal is not None:
                    with self._mutex:
                        self._journal.delivered()
                self._read(reply, int(arguments[0]), names, began, answer)
                if not self._left:
                    return answer
                want = max(0, want - len(answer.deliveries))

    def close(self) -> None:
        """Close the connection."""
        with self._calling:
            self._link.close()

    def _next(self, want: int) -> tuple[list[bytes], list[Argument], list[str]]:
        """The next call: its keys, its arguments, and the names of its queues in order."""
        with self._mutex:
            done, back, ends = self._take()
            logged, self._logged = self._logged, []
            self._left = any(self._done.values()) or any(self._back.values()) or bool(self._ends)
            self.oldest = time.monotonic() if self._left else 0.0
            if self._journal is not None:
                self._journal.turn()
                for deliveries in self._done.values():
                    for delivery in deliveries:
                        self._journal.add(delivery.message_id, delivery.call, delivery.result)
        self._number += 1
        queues = {keys.name: number for number, keys in enumerate(self._fetching, 1)}
        all_keys = list(self._fetching)

        def number_of(name: str) -> int:
            if name not in queues:
                all_keys.append(QueueKeys(self._namespace, name))
                queues[name] = len(all_keys)
            return queues[name]

        operations: list[Argument] = []
        add = operations.append
        for delivery in logged:
            assert delivery.lines is not None
            first, _, text = delivery.lines.unsent()
            if text:
                operations += (b"logs", number_of(delivery.queue_name), delivery.message_id, delivery.call, first, text)
        for name, deliveries in done.items():
            operations += (b"done", number_of(name), len(deliveries))
            for delivery in deliveries:
                add(delivery.message_id)
                add(delivery.call)
                add(delivery.result or b"")
        for name, deliveries in back.items():
            operations += (b"back", number_of(name), len(deliveries))
            for delivery in deliveries:
                add(delivery.message_id)
                add(delivery.call)
        for delivery in ends:
            operations += _end(delivery, number_of(delivery.queue_name))
            for job in delivery.follow_ups:
                operations += (number_of(job.queue_name), job.job_id, job.envelope, job.priority, job.delay)
                operations.append(job.wishes)

        names = [keys.name for keys in all_keys]
        head = (self._number, self._token, self._lease, min(want, _BULK), len(self._fetching), len(all_keys))
        return [self._call_key, *(key for keys in all_keys for key in keys.all)], [*head, *operations], names

    def _take(self) -> tuple[dict[str, list[Delivery]], dict[str, list[Delivery]], list[Delivery]]:
        done, back = (
            {name: deliveries[:_BULK] for name, deliveries in kind.items() if deliveries}
            for kind in (self._done, self._back)
        )
        ends = self._ends[:_BULK]
        if self._weight > MAX_CALL:
            self._leave_heavy(done, ends)
        for kind, taken in ((self._done, done), (self._back, back)):
            for name, deliveries in taken.items():
                del kind[name][: len(deliveries)]
        del self._ends[: len(ends)]
        if not self._ends and not any(self._done.values()):
            self._weight = 0
        return done, back, ends

    def _leave_heavy(self, done: dict[str, list[Delivery]], ends: list[Delivery]) -> None:
        """Leave for later calls what is too much for one. At least one delivery stays in it."""
        total = 0
        for some in (*done.values(), ends):
            for at, delivery in enumerate(some):
                own = _weigh(delivery)
                if total and total + own > MAX_CALL:
                    del some[at:]
                    break
                total += own
        self._weight -= total

    def _read(self, reply: list[Any], number: int, names: list[str], began: float, answer: Answer) -> None:
        _, wait, evicted, stale = (int(part) for part in reply[:4])
        answer.wait = wait / 1000 if wait else None
        answer.evicted += evicted
        answer.stale += stale
        # A lease begins when Redis has the call. Where the reply took a good part of it (this process stood still between the
        # two, or Redis was away), the jobs are as old as the call: whoever takes them sees that.
        now = time.monotonic()
        fetched_at = began if now - began >= self._lease / 3000 else now
        add = answer.deliveries.append
        answer.posted += (names[int(number_of_queue) - 1] for number_of_queue in reply[4].split())
        if reply[5]:
            answer.retired = [names[int(number_of_queue) - 1] for number_of_queue in reply[5].split()]
        for at in range(6, len(reply), 4):
            queue, job_id, attempt, envelope = reply[at : at + 4]
            add(Delivery(names[queue - 1], job_id.decode(), number, attempt, envelope, fetched_at, self._protection))


def _weigh(delivery: Delivery) -> int:
    """How many bytes the end of a run has, about."""
    again = delivery.again.envelope if delivery.again is not None else None
    return len(delivery.result or b"") + len(again or b"") + sum(len(job.envelope) for job in delivery.follow_ups)


def _end(delivery: Delivery, queue: int) -> tuple[Argument, ...]:
    again = delivery.again
    outcome = delivery.outcome()
    if outcome == "back":
        outcome, again = "later", None  # Something follows from it, so it can't simply go back to where it was.
    if outcome in ("retry", "later") and again is not None:
        delay, envelope = min(max(0, again.delay), LONGEST_DELAY), again.envelope or b""
    else:
        delay, envelope = 0, b""
    against = b"+" if delivery.outage and outcome in ("retry", "dead") else b""
    return (
        b"end",
        queue,
        delivery.message_id,
        delivery.call,
        outcome.encode() + against,
        delivery.priority,
        delay,
        b"" if outcome in ("completed", "later") else delivery.error_detail(),
        delivery.result or b"",
        envelope,
        len(delivery.follow_ups),
    )
