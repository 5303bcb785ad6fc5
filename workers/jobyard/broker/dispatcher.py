"""What one worker process holds: jobs that it fetched, runs, and has finished but not yet delivered.

Used by the worker's threads; it has none of its own. Who runs jobs calls `fetch`, `take` and `settle`; who looks after the
process calls `renew`, `flush` and `return_unstarted`.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from jobyard.broker.appetite import Appetite
from jobyard.broker.caller import worker_token
from jobyard.broker.delivery import Delivery
from jobyard.broker.errors import BrokerError
from jobyard.broker.exchange import Answer, Exchange
from jobyard.broker.journal import Journal
from jobyard.broker.link import Link
from jobyard.broker.notices import Courier
from jobyard.broker.paging import pages
from jobyard.broker.scripts import script
from jobyard.broker.wakeup import LONGEST, ClusterWaiter, Waiter

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Seconds for which a job is ours without a sign of life.
LEASE: Final = 15.0
#: Seconds between renewals: two may fail.
RENEWAL: Final = LEASE / 3
#: Seconds after which a finished job must have been sent.
LONGEST_UNSENT: Final = 0.01
#: Seconds after which a job that was fetched but not started goes back, so that another worker can have it.
LONGEST_UNSTARTED: Final = 0.1


class Dispatcher:
    """One worker's jobs.

    Args:
        queues: names of the queues to fetch from, at least one.
        slots: how many jobs run at the same time.
        lease: seconds.
        journal: memory that outlives this process, see `journal`.
        token: the worker's name in fences, used by nobody before; None: a new one.
    """

    def __init__(
        self,
        broker: JobyardBroker,
        queues: Sequence[str],
        slots: int,
        *,
        lease: float = LEASE,
        journal: memoryview | None = None,
        token: str | None = None,
    ) -> None:
        self.token = token or worker_token()
        self.broker = broker
        self.appetite = Appetite(slots)
        self.queues = list(queues)
        self.lease = lease
        self.buffer: deque[Delivery] = deque()
        #: All that is fetched and not settled.
        self.held: dict[int, Delivery] = {}
        self._renewals = Link(broker.server, patience=1.0)
        clustered = broker.server.clustered
        # On a cluster every queue may lie on another node, and one call can only touch one node.
        groups = [[name] for name in queues] if clustered else [list(queues)]
        # One journal: with several exchanges (only on a cluster) its halves would not be delivered together.
        kept = Journal(journal) if journal is not None and len(groups) == 1 else None
        self._exchanges = [
            Exchange(
                Link(broker.server, patience=2.0), broker.namespace, group, self.token, lease, kept, broker.protection
            )
            for group in groups
        ]
        self._by_queue = {name: exchange for exchange in self._exchanges for name in exchange.queues}
        self._courier = Courier(broker)
        self._turn = 0
        self._resting = True
        keys = [broker.keys(name) for name in queues]
        self.waiter: Waiter | ClusterWaiter = (
            ClusterWaiter(broker.server, keys, self.token) if clustered else Waiter(broker.server, keys, self.token)
        )

    def fetch(self) -> Answer:
        """Deliver what is finished and fetch as much as the process should hold. New jobs are in the buffer then.

        Raises:
            BrokerError: no answer; nothing is lost.
        """
        whole = Answer()
        self._turn += 1
        count = len(self._exchanges)
        for step in range(count):
            exchange = self._exchanges[(self._turn + step) % count]
            want = self.room()
            if want == 0 and not exchange.pending:
                continue
            answer = exchange.call(want)
            for delivery in answer.deliveries:
                self.held[id(delivery)] = delivery
            self.buffer.extend(answer.deliveries)
            whole.deliveries += answer.deliveries
            whole.evicted += answer.evicted
            whole.stale += answer.stale
            whole.posted += answer.posted
            if want > 0 and (answer.retired or self.waiter.aside):
                self.waiter.aside = (self.waiter.aside - set(exchange.queues)) | set(answer.retired)
            if answer.wait is not None:
                whole.wait = answer.wait if whole.wait is None else min(whole.wait, answer.wait)
        if not whole.deliveries and not self.held:
            self._resting = True
        elif self._resting and whole.deliveries:
            self._resting = False
            self.appetite.begin(time.monotonic())
        # A longer silence is taken for an outage of Redis, see exchange.lua.
        whole.wait = min(whole.wait or LONGEST, self.lease / 3)
        if whole.posted or self._courier.waiting:
            self._courier.deliver(whole.posted)
            if self._courier.waiting:
                whole.wait = min(whole.wait, 1.0)
        return whole

    def room(self) -> int:
        """How many more jobs the process should hold."""
        return self.appetite.want(len(self.held), time.monotonic())

    def take(self) -> Delivery | None:
        """The next job to run, from the buffer."""
        while True:
            try:
                delivery = self.buffer.popleft()
            except IndexError:
                return None
            delivery.started_at = time.monotonic()
            if delivery.started_at - delivery.fetched_at < self.lease / 3:
                return delivery
            # This process stood still, and somebody else may have the job by now. If not, it goes back to its place.
            self.give_back([delivery])

    def settle(self, delivery: Delivery) -> None:
        """A run has ended. What the delivery says is delivered with the next call."""
        if self.held.pop(id(delivery), None) is None:
            return  # Given back, or settled, before.
        self.appetite.finished()
        if self.broker.server.clustered and delivery.follow_ups:
            # No script can touch both nodes: first the next jobs, whose ids make a repetition harmless, then the end.
            try:
                self.broker.accept_follow_ups(delivery.follow_ups)
            except BrokerError as error:
                self.broker.logger.error("Job %s runs again when its lease ends: %s", delivery.message_id, error)
                return
            delivery.follow_ups = []
        self._by_queue[delivery.queue_name].settle(delivery)

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """These were not started: they go back with the next call."""
        for delivery in deliveries:
            if self.held.pop(id(delivery), None) is not None:
                self._by_queue[delivery.queue_name].give_back([delivery])

    def return_unstarted(self, older_than: float = 0.0) -> int:
        """Give back what has been waiting here for `older_than` seconds. Returns how many jobs that were."""
        limit = time.monotonic() - older_than
        late: list[Delivery] = []
        while self.buffer:
            try:
                delivery = self.buffer.popleft()
            except IndexError:
                break
            if delivery.fetched_at > limit:
                self.buffer.appendleft(delivery)
                break
            late.append(delivery)
        self.give_back(late)
        return len(late)

    def unsent_for(self) -> float:
        """For how many seconds the oldest end of a run has been waiting to be delivered; 0: none waits."""
        oldest = min((exchange.oldest for exchange in self._exchanges if exchange.oldest), default=0.0)
        return time.monotonic() - oldest if oldest else 0.0

    @property
    def pending(self) -> bool:
        """Whether some end of a run has not been delivered."""
        return any(exchange.pending for exchange in self._exchanges)

    def flush(self) -> Answer:
        """Deliver what is finished, fetch nothing.

        Raises:
            BrokerError: no answer; nothing is lost.
        """
        whole = Answer()
        for exchange in self._exchanges:
            if exchange.pending:
                answer = exchange.call(0)
                whole.stale += answer.stale
                whole.posted += answer.posted
                # A call that had not been answered may have fetched.
                for delivery in answer.deliveries:
                    self.held[id(delivery)] = delivery
                self.buffer.extend(answer.deliveries)
        if whole.posted:
            self._courier.deliver(whole.posted)
        return whole

    def renew(self, older_than: float = 0.0) -> tuple[list[Delivery], list[Delivery]]:
        """Keep the leases of what was fetched at least `older_than` seconds ago.

        Returns:
            Deliveries that are no longer ours, and deliveries whose job shall stop: since somebody asked for it, or (those are
            marked as `late`) since its deadline is over.

        Raises:
            BrokerError: no answer. The leases may run out.
        """
        limit = time.monotonic() - older_than
        by_queue: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in list(self.held.values()):
            if delivery.fetched_at <= limit:
                by_queue[delivery.queue_name].append(delivery)
        lost: list[Delivery] = []
        cancels: list[Delivery] = []
        for name, deliveries in by_queue.items():
            for some in pages(deliveries, 1000):
                arguments: list[str | int] = [self.token, int(self.lease * 1000)]
                for delivery in some:
                    arguments += (delivery.message_id, delivery.call)
                gone, stop, late = self._renewals.call(script("renew"), self.broker.keys(name).all, arguments)
                for ids, into in ((gone, lost), ([*stop, *late], cancels)):
                    named = {one.decode() for one in ids}
                    # One that was settled meanwhile is not ours any more in the best of ways.
                    into += [one for one in some if one.message_id in named and id(one) in self.held]
                over = {one.decode() for one in late}
                for delivery in cancels if over else ():
                    delivery.late = delivery.late or (delivery.queue_name == name and delivery.message_id in over)
        return lost, cancels

    def close(self) -> None:
        """Close the connections. What is held stays leased until the lease ends: drain before."""
        self.waiter.stop()
        self.waiter.close()
        self._renewals.close()
        self._courier.close()
        for exchange in self._exchanges:
            exchange.close()
