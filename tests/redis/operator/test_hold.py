"""The operator holds a queue: nothing starts, everybody is told why, and it has nothing to do with a pause."""

from __future__ import annotations

from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.explain import Reason
from jobyard.broker.policy import QueuePolicy
from jobyard.worker.worker import JobyardWorker
from jobyard_operator.redis.look import look
from jobyard_operator.redis.policy import LONGEST_REASON, configure, hold
from support.hand import Hand, look_up
from support.waiting import eventually

WHY = "Image shop:1.5 can't be pulled"


def test_no_job_of_a_held_queue_is_started_and_running_ones_finish(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand("q", "other")
    send()
    running = worker.fetch_one()
    assert hold(broker, "q", 1, WHY)
    waiting, elsewhere = send(), send("other")
    assert worker.ids(9) == [elsewhere]
    assert worker.renew() == ([], [])
    worker.done(running)
    assert broker.inspector.stats("q").completed == 1
    assert hold(broker, "q", 1, None)
    assert worker.ids(9) == [waiting]


def test_everybody_is_told_why(broker: JobyardBroker, send: Callable[..., str]) -> None:
    job_id = send()
    hold(broker, "q", 1, WHY)
    assert look(broker, "q", 15).held == WHY
    assert broker.inspector.stats("q").held == WHY
    explained = broker.inspector.explain(job_id)
    assert (explained.reason, explained.facts["held"]) == (Reason.QUEUE_HELD, WHY)
    assert WHY in explained.sentence
    assert not hold(broker, "q", 1, WHY)
    assert hold(broker, "q", 1, "another reason")
    hold(broker, "q", 1, None)
    assert not hold(broker, "q", 1, None)
    assert (look(broker, "q", 15).held, broker.inspector.stats("q").held) == (None, None)


def test_a_pause_and_a_hold_have_nothing_to_do_with_each_other(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    job_id = send()
    broker.pause("q")
    hold(broker, "q", 1, WHY)
    broker.resume("q")
    assert worker.ids() == []
    broker.pause("q")
    hold(broker, "q", 1, None)
    assert worker.ids() == []
    assert look(broker, "q", 15).paused
    hold(broker, "q", 1, WHY)
    assert configure(broker, "q", 1, QueuePolicy(paused=False))
    assert worker.ids() == []
    assert look(broker, "q", 15).held == WHY
    hold(broker, "q", 1, None)
    assert worker.ids() == [job_id]


def test_the_end_of_a_hold_wakes_an_idle_worker(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None: ...

    hold(broker, "q", 1, WHY)
    start_worker()
    sent = work.send()
    eventually(lambda: broker.server.client().llen(broker.keys("q")["wake"]) == 0, what="the worker has looked")
    hold(broker, "q", 1, None)
    eventually(lambda: look_up(broker, sent.message_id).state == "completed", 1)


def test_a_reason_is_one_line_of_bounded_length(broker: JobyardBroker) -> None:
    hold(broker, "q", 1, "first line\n\tsecond" + 600 * "x")
    held = look(broker, "q", 15).held
    assert held is not None
    assert (held[:17], held[-1], len(held)) == ("first line second", "…", LONGEST_REASON)
    with pytest.raises(ValueError, match="reason"):
        hold(broker, "q", 1, " \n")
