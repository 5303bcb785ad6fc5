"""A random walk over all that can happen to jobs: several workers, several queues, thousands of moves."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Sequence
from typing import Any, Final
from unittest.mock import patch

from jobyard.batch import Batch
from jobyard.broker import JobyardBroker
from jobyard.broker.dead_letters import DeadFilter
from jobyard.broker.delivery import Again, Delivery, FollowUp
from jobyard.broker.envelope import seal
from jobyard.broker.pods import fence
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.retiring import release, retire
from jobyard.broker.wishes import wishes_of
from jobyard.errors import Cancelled, RateLimitExceeded
from support.hand import Hand, message
from support.ledger import audit

_EVERYWHERE: Final = ("completed", "failed", "retried", "recovered", "cancelled", "discarded", "evicted", "revived")


class Walk:
    """Makes one random move after the other.

    Args:
        make_hand: makes a worker that is played by hand, from the names of its queues.
    """

    def __init__(
        self, broker: JobyardBroker, make_hand: Callable[..., Hand], seed: int, queues: Sequence[str] = ("a", "b", "c")
    ) -> None:
        self.queues = queues
        self.broker = broker
        self.random = random.Random(seed)
        self.make_hand = make_hand
        self.pods = 0
        self.pod_of: dict[str, str] = {}
        self.hands = [self.new_hand() for _ in range(3)]
        self.held: list[tuple[Hand, Delivery]] = []
        self.ids = ["job-0"]

    def new_hand(self) -> Hand:
        queues = self.random.sample(self.queues, self.random.randint(1, 3))
        self.pods += 1
        with patch.dict(os.environ, JOBYARD_POD_NAME=f"pod-{self.pods}"):
            hand = self.make_hand(*queues, lease=0.05 if self.random.random() < 0.3 else 15)
        self.pod_of[hand.token] = f"pod-{self.pods}"
        return hand

    def job_id(self) -> str:
        # From a small set, so that ids come again while their jobs are somewhere.
        found = f"job-{self.random.randrange(400)}"
        self.ids.append(found)
        return found

    def queue(self) -> str:
        return self.random.choice(self.queues)

    def some(self) -> list[str]:
        return self.random.sample(self.ids, min(len(self.ids), 5))

    def take_out(self) -> tuple[Hand, Delivery] | None:
        if not self.held:
            return None
        return self.held.pop(self.random.randrange(len(self.held)))

    # Moves

    def enqueue(self) -> None:
        delay = self.random.choice([None, None, 1, 30, 60_000])
        priority = self.random.randrange(101)
        with contextlib.suppress(RateLimitExceeded):
            self.broker.enqueue(
                message(self.queue(), job_id=self.job_id(), priority=priority, **self.wishes()), delay=delay
            )

    def wishes(self) -> dict[str, Any]:
        """A few keys, a few unique keys."""
        choose = self.random.choice
        found: dict[str, Any] = {}
        if self.random.random() < 0.5:
            found["key"] = choose(["k", "l", "m"])
        if self.random.random() < 0.2:
            found["unique"] = choose(["u", "v", "w"])
            found["unique_until"] = choose(["start", "finish", 0.02])
            found["debounce"] = choose([True, False])
        if self.random.random() < 0.1:
            found["expires"] = choose([5, 60_000])
        if self.random.random() < 0.1:
            found["deadline"] = choose([5, 20, 60_000])
        if self.random.random() < 0.2:
            found["tags"] = choose([["red"], ["red", "blue"]])
        return found

    def enqueue_many(self) -> None:
        with contextlib.suppress(RateLimitExceeded):
            self.broker.enqueue_many([message(self.queue(), job_id=self.job_id(), **self.wishes()) for _ in range(7)])

    def enqueue_batch(self) -> None:
        """Some of its jobs are known already, in any state, or in another batch."""
        ids = {self.job_id() for _ in range(4)}
        jobs = [message(self.queue(), job_id=job_id, **self.wishes()) for job_id in ids]
        with contextlib.suppress(RateLimitExceeded):
            Batch(
                jobs, on_failure=message(self.queue()), on_complete=message(self.queue()), broker=self.broker
            ).enqueue()

    def fetch(self) -> None:
        hand = self.random.choice(self.hands)
        self.held += [(hand, delivery) for delivery in hand.fetch(self.random.randint(1, 6))]

    def settle(self) -> None:
        """One way in which a run can end; delivered now or with a later call."""
        taken = self.take_out()
        if taken is None:
            return
        hand, delivery = taken
        ending = self.random.choice(["done", "done", "result", "retry", "later", "dead", "spent", "cancelled", "back"])
        if ending == "result":
            delivery.result = b"5"
        elif ending == "retry":
            delivery.again = Again(self.random.choice([0, 1, 60_000]), envelope=seal(message("x"), 3))
        elif ending == "later":
            delivery.again = Again(1, counted=False)
        elif ending in ("dead", "spent"):
            delivery.stuff_exception(ValueError("no"))
            delivery.fail()
            delivery.spent = ending == "spent"
        elif ending == "cancelled":
            delivery.stuff_exception(Cancelled())
        if self.random.random() < 0.3:
            for _ in range(3):
                other = message(self.queue(), job_id=self.job_id(), **self.wishes())
                delay = self.random.choice([0, 5])
                wishes = wishes_of(other, None)
                packed = wishes.pack() if wishes else b""
                follow_up = FollowUp(other.queue_name, other.message_id, seal(other, 5), 5, delay, packed)
                delivery.follow_ups.append(follow_up)
        if ending == "back":
            hand.dispatcher.give_back([delivery])
        else:
            hand.dispatcher.settle(delivery)
        if self.random.random() < 0.5:
            hand.fetch(0)

    def renew(self) -> None:
        self.random.choice(self.hands).renew()

    def abandon(self) -> None:
        """A worker dies; sometimes somebody notices."""
        at = self.random.randrange(len(self.hands))
        hand, self.hands[at] = self.hands[at], self.new_hand()
        self.held = [(holder, delivery) for holder, delivery in self.held if holder is not hand]
        noticed = self.random.random()
        if noticed < 0.3:
            fence(self.broker, self.pod_of[hand.token], b'{"error":"Evicted"}', counts=noticed < 0.15)
        elif noticed < 0.7:
            started = self.random.choice([None, self.some()])
            self.broker.revoke(hand.token, b'{"error":"WorkerDied"}', started=started)

    def retire(self) -> None:
        """Some workers shall go, and some of them don't."""
        queue = self.queue()
        tokens = [hand.token for hand in self.hands if self.random.random() < 0.5]
        retire(self.broker, queue, tokens, 0.02)
        if self.random.random() < 0.5:
            release(self.broker, queue, tokens)

    def cancel(self) -> None:
        for job_id in self.some():
            self.broker.cancel(job_id, queue=self.queue())

    def operate(self) -> None:
        letters, queue = self.broker.dead_letters, self.queue()
        moves: list[Callable[[], object]] = [
            lambda: letters.retry(queue, self.some()),
            lambda: letters.retry_all(queue, DeadFilter(limit=3), rate=1000),
            lambda: letters.discard(queue, self.some()),
            lambda: letters.edit_and_retry(queue, self.some()[0], lambda args, kwargs: ((*args, 1), kwargs)),
            lambda: self.broker.flush(queue),
        ]
        self.random.choice(moves)()

    def configure(self) -> None:
        choose = self.random.choice
        policy = QueuePolicy(
            paused=choose([None, None, None, None, True]),
            ageing=choose([None, 0.5, 60]),
            completed=choose([None, 0, 3]),
            completed_ttl=choose([None, 0, 50]),
            cancelled=choose([None, 0, 3]),
            dead=choose([None, 0, 5]),
            dead_ttl=choose([None, 50]),
            concurrency=choose([None, None, 3]),
            key_concurrency=choose([None, 1, 2]),
            rate=choose([None, None, 1000]),
            key_rate=choose([None, None, 200]),
            rate_mode=choose([None, "hold", "reject"]),
        )
        self.broker.configure(self.queue(), policy)

    def step(self) -> None:
        moves = (
            [self.enqueue] * 8
            + [self.enqueue_many] * 2
            + [self.enqueue_batch]
            + [self.fetch] * 10
            + [self.settle] * 14
            + [self.renew, self.abandon, self.cancel, self.cancel, self.operate, self.configure, self.retire]
        )
        self.random.choice(moves)()

    def was_everywhere(self) -> bool:
        counts = [self.broker.inspector.stats(queue).counts for queue in self.queues]
        return all(sum(count.get(name, 0) for count in counts) for name in _EVERYWHERE)


def roam(walk: Walk, direct: JobyardBroker, rounds: int) -> None:
    """Walk for so many rounds, and on until every kind of move was made. Audits with `direct` after each round."""
    for _ in range(rounds):
        for _ in range(150):
            walk.step()
        audit(direct)
    # It must have gone everywhere, or it could not have found anything.
    for _ in range(20_000):
        if walk.was_everywhere():
            return
        walk.step()
    raise AssertionError("the walk never came everywhere")
