"""What the operator writes is fenced: a leader that leads no more changes nothing, whatever it tries, also after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.operator.schedules.calendars import UID, job_schedule

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard_operator.redis import schedules
from jobyard_operator.redis.epoch import Superseded
from jobyard_operator.redis.look import look
from jobyard_operator.redis.memory import LARGEST, remember
from jobyard_operator.redis.policy import configure, hold
from jobyard_operator.redis.wakeup import sleep
from support.servers import Kind, Server
from support.snapshot import snapshot

Write = Callable[[JobyardBroker, int], Any]

WRITES: dict[str, Write] = {
    "remember": lambda broker, epoch: remember(broker, "q", epoch, b"%d" % epoch),
    "schedules": lambda broker, epoch: schedules.run_now(broker, "q", epoch, job_schedule(), str(epoch)),
    "forget": lambda broker, epoch: schedules.forget(broker, "q", epoch, UID),
    "configure": lambda broker, epoch: configure(broker, "q", epoch, QueuePolicy(completed=epoch)),
    "hold": lambda broker, epoch: hold(broker, "q", epoch, f"since {epoch}"),
    "sleep": lambda broker, epoch: sleep(broker, "q", epoch),
    "let go": lambda broker, epoch: hold(broker, "q", epoch, None),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_leader_that_leads_no_more_changes_nothing(broker: JobyardBroker, name: str) -> None:
    write = WRITES[name]
    write(broker, 6)
    write(broker, 7)
    before = snapshot(broker)
    with pytest.raises(Superseded) as problem:
        write(broker, 6)
    assert (problem.value.epoch, problem.value.seen) == (6, 7)
    assert snapshot(broker) == before
    write(broker, 7)
    write(broker, 10)
    with pytest.raises(Superseded, match="epoch 9 is over"):
        write(broker, 9)


@pytest.mark.parametrize("first", WRITES)
@pytest.mark.parametrize("second", WRITES)
def test_whatever_a_later_leader_has_written_fences(broker: JobyardBroker, first: str, second: str) -> None:
    WRITES[first](broker, 3)
    with pytest.raises(Superseded):
        WRITES[second](broker, 2)


def test_each_queue_is_fenced_by_itself(broker: JobyardBroker) -> None:
    remember(broker, "q", 3, b"x")
    remember(broker, "other", 2, b"y")
    assert look(broker, "other", 15).memory == b"y"


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_what_is_remembered_survives_a_restart_and_so_does_the_fence(
    start_server: Callable[..., Server], make_broker: Callable[..., JobyardBroker], kind: Kind
) -> None:
    own = start_server(kind)
    broker = make_broker(own.url)
    memory = bytes(range(256))
    remember(broker, "q", 5, memory)
    configure(broker, "q", 5, QueuePolicy(paused=True))
    before = look(broker, "q", 15)
    own.kill()
    own.start()
    seen = look(broker, "q", 15)
    assert (seen.memory, seen.paused, seen.policy_digest) == (memory, True, before.policy_digest)
    with pytest.raises(Superseded):
        remember(broker, "q", 4, b"old")


@pytest.mark.parametrize("memory", [b"", b"x" * (LARGEST + 1)])
def test_a_memory_has_a_size(broker: JobyardBroker, memory: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        remember(broker, "q", 1, memory)


def test_an_epoch_is_not_negative(broker: JobyardBroker) -> None:
    with pytest.raises(ValueError, match="-1"):
        remember(broker, "q", -1, b"x")
