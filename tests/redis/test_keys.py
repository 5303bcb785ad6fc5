"""What scripts touch: only keys that are passed to them, and all of a queue's keys have one hash tag."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dramatiq
import pytest

from jobyard.batch import BATCH, Batch, RunningBatch
from jobyard.broker import JobyardBroker
from jobyard.broker.keys import FIELDS, QueueKeys
from jobyard.broker.policy import QueuePolicy
from jobyard.worker.worker import JobyardWorker
from jobyard_operator.redis import policy as operator_policy
from jobyard_operator.redis.look import look
from jobyard_operator.redis.memory import remember
from jobyard_operator.redis.wakeup import sleep
from support.hand import Hand, look_up, message
from support.servers import Server
from support.waiting import eventually


@contextmanager
def monitored(server: Server) -> Iterator[list[str]]:
    """Collects the lines of MONITOR."""
    lines: list[str] = []
    with server.client() as client, client.monitor() as monitor:

        def listen() -> None:
            while True:
                line = monitor.connection.read_response().decode()
                lines.append(line)
                if "the end of this test" in line:
                    return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield lines
        server.command("ECHO", "the end of this test")
        thread.join(5)


def words(line: str) -> list[str]:
    return re.findall(r'"((?:[^"\\]|\\.)*)"', line)


def test_a_script_touches_only_keys_that_are_passed_to_it(
    server: Server,
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    send: Callable[..., str],
    start_worker: Callable[..., JobyardWorker],
) -> None:
    ends: list[str] = []

    @dramatiq.actor(queue_name="q", max_retries=1, min_backoff=1)
    def work(fail: bool = False) -> str:
        if fail:
            raise ValueError("on purpose")
        ends.append("end")
        return "result"

    with monitored(server) as lines:
        send("q", delay=5)
        ids = [send("q") for _ in range(8)]
        broker.cancel(ids[0])
        send("other", delay=60_000)
        worker = hand("q", "other")
        jobs = worker.fetch(6)
        worker.done(jobs[0], b"1")
        worker.retry(jobs[1], 5)
        worker.bury(jobs[2])
        worker.back(jobs[3])
        worker.renew()
        broker.cancel(jobs[4].message_id)
        broker.revoke(worker.token, b'{"error":"x"}')
        broker.dead_letters.retry("q", [jobs[2].message_id])
        broker.configure("q", QueuePolicy(ageing=5, dead=10))
        broker.flush("other")
        broker.configure(
            "limited", QueuePolicy(key_concurrency=1, key_rate=0.1, rate=1000, rate_burst=50, concurrency=5, fair=True)
        )
        for number in range(4):
            send("limited", key="k", unique=f"u{number % 3}", debounce=True, expires=60_000)
        limited = hand("limited")
        limited.done(limited.fetch_one())
        limited.fetch(5)
        broker.cancel(broker.inspector.jobs("limited", "delayed")[0].id)
        broker.configure("limited", QueuePolicy(rate_mode="reject"))
        send("limited", key="l")
        broker.flush("limited")
        sleep(broker, "asleep", 1)
        send("asleep")
        remember(broker, "asleep", 1, b"memory")
        operator_policy.configure(broker, "asleep", 1, QueuePolicy(ageing=5, weights={"k": 2}))
        operator_policy.hold(broker, "asleep", 1, "why")
        assert look(broker, "asleep", 15).waiting == 1
        for state in ("waiting", "dead", "completed"):
            broker.inspector.jobs("q", state)
        batch = Batch([message("q"), message("q", expires=60_000)], on_complete=message("limited")).enqueue()
        for job in worker.fetch(9):
            if BATCH in job.options:
                RunningBatch(batch.id, job).add(message("other"))
            worker.bury(job)
        broker.dead_letters.retry_all("q")
        batch.cancel()
        assert batch.wait().cancelled
        start_worker(queues=["q"])
        asked = work.send()
        assert asked.get_result(block=True) == "result"
        failing = work.send(True)
        eventually(lambda: look_up(broker, failing.message_id).state == "dead")
        broker.dead_letters.discard_all("q")
        broker.configure("q", QueuePolicy(completed=0))
        work.send()
        eventually(lambda: len(ends) >= 2)

    declared: set[str] = set()
    scripts = commands = 0
    for line in lines:
        if " lua]" not in line:
            command = words(line)
            if command and command[0].lower() in ("eval", "evalsha"):
                scripts += 1
                declared = set(command[3 : 3 + int(command[2])])
            continue
        commands += 1
        name, *arguments = words(line)
        if name.lower() in ("time", "publish"):
            continue  # These have no key.
        assert arguments[0] in declared, f"{line} is not among the KEYS of its script"
    assert scripts > 30
    assert commands > 300


@pytest.mark.parametrize("name", ["q", "a/b", "emails/7", "x.y-z_1"])
def test_all_keys_of_a_queue_have_one_hash_tag(name: str) -> None:
    keys = QueueKeys("some:namespace", name)
    found = (*keys.all, keys.call("token"), *keys.batch("name"), keys.called("name"))
    tags = {re.fullmatch(rb"some:namespace:\{(.*?)\}:.*", key)[1] for key in found}
    assert tags == {name.encode()}
    assert len(set(keys.all)) == len(FIELDS)


def test_nothing_outside_the_namespace_is_touched(
    server: Server, broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    client = broker.server.client()
    before = set(client.scan_iter(count=1000))
    send()
    worker = hand()
    worker.done(worker.fetch_one())
    new = set(client.scan_iter(count=1000)) - before
    assert new
    assert all(key.startswith(broker.namespace.encode() + b":") for key in new)
