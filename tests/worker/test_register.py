"""The register of worker processes, on real servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import structs

from jobyard.broker import JobyardBroker, keys
from jobyard.broker.workers import TRUE_FOR, Announcement, Register, list_workers
from support.waiting import eventually
from worker.process import WorkerProcess


def said(name: str = "host/1", **changes: Any) -> Announcement:
    fields: dict[str, Any] = {
        "name": name, "pod": None, "queues": ["emails"], "actors": ["send_email"], "threads": 8,
        "running": ["job-1", "job-2"], "draining": False, "completed": 5, "failed": 1,
        "started_at": 1_700_000_000_000, "version": "1",
    }  # fmt: skip
    return Announcement(**{**fields, **changes})


def test_who_announces_itself_is_listed_with_all_that_it_said(broker: JobyardBroker) -> None:
    Register(broker, "token-1").announce(said(pod="mail-7"))
    (found,) = list_workers(broker)
    assert (found.token, found.busy) == ("token-1", 2)
    expected = structs.asdict(said(pod="mail-7"))
    assert {name: getattr(found, name) for name in expected} == expected
    assert abs(found.seen_at - time.time() * 1000) < 5000
    assert found.expires_at - found.seen_at == TRUE_FOR * 1000


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ({"running": []}, "idle"),
        ({"running": ["job-1"]}, "active"),
        ({"running": ["job-1"], "draining": True}, "draining"),
        ({"running": [], "draining": True}, "draining"),
    ],
)
def test_a_workers_state_is_seen_from_what_it_says(broker: JobyardBroker, what: dict[str, Any], state: str) -> None:
    Register(broker, "token-1").announce(said(**what))
    assert [one.state for one in list_workers(broker)] == [state]


def test_an_announcement_replaces_the_one_before(broker: JobyardBroker) -> None:
    register = Register(broker, "token-1")
    register.announce(said(completed=1))
    register.announce(said(completed=2))
    assert [one.completed for one in list_workers(broker)] == [2]


def test_who_is_removed_is_not_listed(broker: JobyardBroker) -> None:
    first, second = Register(broker, "token-1"), Register(broker, "token-2")
    first.announce(said("host/1"))
    second.announce(said("host/2"))
    first.remove()
    assert [one.name for one in list_workers(broker)] == ["host/2"]
    second.remove("token-2")
    assert list_workers(broker) == []


def test_an_entry_that_has_run_out_is_not_listed_and_the_next_worker_removes_it(broker: JobyardBroker) -> None:
    client, register = broker.server.client(), keys.workers(broker.namespace)
    seconds, _ = client.time()
    client.hset(register, "old", f"{seconds * 1000 - 1} {{}}")
    assert list_workers(broker) == []
    one = Register(broker, "token-1")
    one.announce(said())
    assert client.hkeys(register) == [b"token-1"]
    # Only the first announcement looks at all the others: with many workers each would cost more than the jobs.
    client.hset(register, "old", f"{seconds * 1000 - 1} {{}}")
    one.announce(said())
    assert set(client.hkeys(register)) == {b"token-1", b"old"}


def test_the_servers_clock_decides_until_when_an_entry_is_true(broker: JobyardBroker) -> None:
    client, register = broker.server.client(), keys.workers(broker.namespace)
    seconds, _ = client.time()
    about = msgspec.json.encode(said()).decode()
    client.hset(register, "soon", f"{(seconds + 1) * 1000} {about}")
    assert [one.token for one in list_workers(broker)] == ["soon"]
    eventually(lambda: not list_workers(broker), 5, what="the entry has run out")


def test_entries_that_another_version_wrote_dont_hide_ours(broker: JobyardBroker) -> None:
    client, register = broker.server.client(), keys.workers(broker.namespace)
    seconds, _ = client.time()
    client.hset(register, "newer", f'{(seconds + 60) * 1000} {{"name": 5}}')
    client.hset(register, "strange", "not even a time")
    Register(broker, "token-1").announce(said())
    assert [one.token for one in list_workers(broker)] == ["token-1"]


def test_a_worker_says_how_many_runs_have_ended_and_what_they_took(
    start: Callable[..., WorkerProcess], send: Callable[..., str], producer: JobyardBroker
) -> None:
    begun = time.monotonic()
    start("app", "--processes", "1", "--threads", "1").ready()
    for number in range(2):
        send("hold", f"held-{number}", 0.2)  # The second one waits for the thread meanwhile, which is none of its time.
    (told,) = eventually(lambda: [one for one in list_workers(producer) if one.completed == 2], 15)
    assert 0.4 <= told.seconds < time.monotonic() - begun
