"""Limits as promised: never above in any window, nothing given away below, and jobs that are held cost nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.errors import RateLimitExceeded
from support.hand import Hand, message
from support.servers import Server
from support.waiting import eventually

_shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)

_WINDOW = 4.0

#: Jobs a period, the period in milliseconds, the burst, and how many jobs there are.
rates = st.tuples(st.integers(1, 50), st.integers(2_000, 600_000), st.integers(1, 12), st.integers(1, 40))


def starts(broker: JobyardBroker, worker: Hand, queue: str, jobs: list[str]) -> list[int]:
    """Fetch all that may start now. When each job started, or will: milliseconds of the server's clock, in order."""
    while worker.fetch(50):
        pass
    known = broker.inspector.jobs_by_id(queue, jobs)
    assert len(known) == len(jobs)
    found = [job.due_at if job.state == "delayed" else job.started_at for job in known]
    return sorted(at for at in found if at is not None)


@_shared
@example((3, 2132, 3, 3)).via("the last of a burst was refused: the step is no whole number of milliseconds")
@given(rates)
def test_in_no_window_do_more_jobs_of_a_key_start_than_its_rate_and_none_fewer(
    broker: JobyardBroker, hand: Callable[..., Hand], rate: tuple[int, int, int, int]
) -> None:
    most, period, burst, many = rate
    queue = f"q{message().message_id}"
    broker.configure(queue, QueuePolicy(key_rate=most, key_rate_period=period, key_rate_burst=burst))
    jobs = [message(queue, number, key="tenant") for number in range(many)]
    broker.enqueue_many(jobs)
    at = starts(broker, hand(queue), queue, [job.message_id for job in jobs])

    step = period / most
    assert len(at) == many
    for first in range(many):
        for last in range(first + 1, many):
            earliest = (last - first - (burst - 1)) * step
            # The clock counts whole milliseconds, and two calls may lie in between.
            assert at[last] - at[first] >= earliest - 1, "more than the rate"
    whole_calls = at[min(burst, many) - 1] - at[0]
    assert at[-1] - at[0] <= max(0, many - burst) * step + whole_calls + 2, "less than the rate"


@_shared
@example((3, 2132, 3, 3)).via("the last of a burst was refused: the step is no whole number of milliseconds")
@given(rates)
def test_in_no_window_are_more_jobs_accepted_than_a_rate_that_rejects(
    broker: JobyardBroker, rate: tuple[int, int, int, int]
) -> None:
    most, period, burst, many = rate
    queue = f"q{message().message_id}"
    broker.configure(queue, QueuePolicy(rate=most, rate_period=period, rate_burst=burst, rate_mode="reject"))
    accepted, refusals = 0, []
    began = broker.inspector.stats(queue).now
    for number in range(many):
        try:
            broker.enqueue(message(queue, number))
        except RateLimitExceeded as refusal:
            refusals.append(refusal.retry_after)
        else:
            accepted += 1
    took = broker.inspector.stats(queue).now - began
    assert all(seconds > 0 for seconds in refusals)
    assert min(burst, many) <= accepted <= burst + took * most / period


def _commands(server: Server) -> int:
    """How many commands Redis has run, those within scripts included."""
    return sum(one["calls"] for one in server.command("INFO", "commandstats").values())


@pytest.mark.parametrize("held_by", ["a slot", "a rate"])
def test_ten_thousand_held_jobs_cost_no_work(
    server: Server, broker: JobyardBroker, start_worker: Callable[..., Any], held_by: str
) -> None:
    """What an idle fleet asks of Redis doesn't depend on how many jobs are held: counted, not timed."""
    release = threading.Event()
    began = threading.Event()

    @dramatiq.actor(key="tenant")
    def work(tenant: str) -> None:
        began.set()
        release.wait(60)

    limit = (
        QueuePolicy(key_concurrency=1) if held_by == "a slot" else QueuePolicy(key_rate=1, key_rate_period=86_400_000)
    )
    broker.configure("default", limit)
    broker.enqueue_many(work.message("acme") for _ in range(10_000))
    for _ in range(3):
        start_worker(threads=1)
    try:
        eventually(began.is_set, 30)
        place = "parked" if held_by == "a slot" else "delayed"
        eventually(lambda: getattr(broker.inspector.stats("default"), place) == 9_999, 60, what="all others are held")

        before = _commands(server)
        threading.Event().wait(_WINDOW)
        asked = _commands(server) - before
        assert asked / _WINDOW < 150, "three idle workers and what each of their looks runs within a script"
    finally:
        release.set()
