"""Limits on live fleets whose workers die: never above, and hardly below while there is work."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from dramatiq import Message

from chaos.conftest import Scene
from chaos.record import Record
from jobyard.broker.policy import QueuePolicy
from support.ledger import audit
from support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

QUEUE = "chaos"


def jobs(many: int, milliseconds: float) -> list[Message[object]]:
    return [
        Message(QUEUE, "work", (number, milliseconds), {}, {"key": f"tenant-{number % 5}"}, message_id=f"work-{number}")
        for number in range(many)
    ]


def peak(spans: Iterable[tuple[int, int]]) -> int:
    """The most that ran at one time."""
    edges = sorted(edge for start, end in spans for edge in ((start, 1), (end, -1)))
    most = now = 0
    for _, step in sorted(edges, key=lambda edge: (edge[0], edge[1])):
        now += step
        most = max(most, now)
    return most


def test_a_rate_holds_on_a_fleet_whose_workers_die(scene: Scene) -> None:
    """Starts are told by the server's own clock. A run that dies and is recovered starts again, and is charged again."""
    broker, rate, burst, many = scene.broker, 80, 40, 480
    broker.configure(QUEUE, QueuePolicy(rate=rate, rate_burst=burst))
    fleets = [scene.fleet(processes=1, threads=4), scene.fleet(processes=2, threads=2)]
    eventually(lambda: all(fleet.children() for fleet in fleets), 30)
    broker.enqueue_many(jobs(many, 5))
    for _ in range(3):
        time.sleep(0.5)
        scene.dice.choice(fleets).kill_child(scene.dice.randrange(8))
    eventually(lambda: broker.inspector.stats(QUEUE).completed == many, 60, what="all jobs are completed")
    audit(broker)

    known = broker.inspector.jobs_by_id(QUEUE, [f"work-{number}" for number in range(many)])
    at = sorted(job.started_at for job in known if job.started_at is not None)
    assert len(at) == many
    for first in range(many):
        for last in range(first + burst, many, 7):
            # A start that was recovered shows its second one only, so the rate can be seen to be kept, but not exceeded.
            assert at[last] - at[first] >= (last - first - (burst - 1)) * 1000 / rate - 1, "more than the rate"
    took = (at[-1] - at[0]) / 1000
    print(f"{(many - burst) / took / rate:.1%} of the rate while there was work")


def test_concurrency_by_queue_and_key_holds_on_a_fleet_whose_workers_die(scene: Scene) -> None:
    broker, many = scene.broker, 400
    broker.configure(QUEUE, QueuePolicy(concurrency=6, key_concurrency=2))
    fleets = [scene.fleet(processes=2, threads=3), scene.fleet(processes=2, threads=3)]
    eventually(lambda: all(fleet.children() for fleet in fleets), 30)
    broker.enqueue_many(jobs(many, 40))
    killed = set()
    for _ in range(4):
        time.sleep(0.4)
        killed.add(scene.dice.choice(fleets).kill_child(scene.dice.randrange(8)))
    eventually(lambda: broker.inspector.stats(QUEUE).completed == many, 60, what="all jobs are completed")
    audit(broker)

    seen = Record.read(scene.record)
    assert seen.ended() == set(range(many))
    # What was cut off ran until its process was killed, which the record doesn't know: it proves nothing, and is left out.
    spans = [
        (run.started, run.ended, number) for number, runs in seen.runs.items() for run in runs if run.ended is not None
    ]
    assert peak((start, end) for start, end, _ in spans) <= 6
    for tenant in range(5):
        assert peak((start, end) for start, end, number in spans if number % 5 == tenant) <= 2
    busy = sum(end - start for start, end, _ in spans)
    elapsed = max(end for _, end, _ in spans) - min(start for start, _, _ in spans)
    print(f"{busy / elapsed / 6:.1%} of the slots were busy")
    slots = broker.link.command(b"HLEN", broker.keys(QUEUE)["slots"], key=broker.keys(QUEUE)["slots"])
    assert slots == 0, "a dead worker's slots come free"
