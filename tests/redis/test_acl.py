"""The user that docs/redis.md proposes can do all that Jobyard does, and nothing to others' keys."""

from __future__ import annotations

import time
from collections.abc import Callable

import dramatiq
import pytest
import redis.exceptions as wire

from jobyard.batch import Batch
from jobyard.broker import JobyardBroker
from jobyard.broker.dead_letters import DeadFilter
from jobyard.broker.filters import JobFilter
from jobyard.broker.policy import QueuePolicy
from jobyard.context import report_progress
from jobyard.worker.worker import JobyardWorker
from jobyard_operator.redis.look import look
from jobyard_operator.redis.memory import remember
from jobyard_operator.redis.wakeup import Listener, sleep
from support.acl import user_rules
from support.hand import look_up, message
from support.servers import Kind, Server
from support.waiting import eventually


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_the_documented_user_can_do_everything(
    start_server: Callable[..., Server],
    make_broker: Callable[..., JobyardBroker],
    start_worker: Callable[..., JobyardWorker],
    namespace: str,
    kind: Kind,
) -> None:
    own = start_server(kind)
    own.command("ACL", "SETUSER", "jobyard", *user_rules(kind, namespace))
    url = f"redis://jobyard:secret@127.0.0.1:{own.port}/0"
    broker = make_broker(url, durability="aof" if kind == "valkey" else "memory")
    ends: list[str] = []

    @dramatiq.actor(queue_name="q", broker=broker, max_retries=1, min_backoff=1)
    def work(what: str) -> str:
        report_progress(50)
        if what == "fail":
            raise ValueError("on purpose")
        while what == "block":
            time.sleep(0.001)
        ends.append(what)
        return "result"

    start_worker(broker=broker, threads=2)
    sent = work.send("run")
    job = broker.inspector.wait(sent.message_id, queue="q", deadline=time.monotonic() + 5)
    assert job is not None
    assert job.encoded_result == b'"result"'
    work.send_with_options(args=["delayed"], delay=100)
    failing, blocking = work.send("fail"), work.send("block")
    eventually(lambda: look_up(broker, failing.message_id).state == "dead")
    eventually(lambda: look_up(broker, blocking.message_id).progress)
    broker.cancel(blocking.message_id)
    eventually(lambda: look_up(broker, blocking.message_id).state == "cancelled", 2)
    eventually(lambda: "delayed" in ends)
    batch = Batch([work.message("first"), work.message("last")], on_success=work.message("success"), broker=broker)
    assert batch.enqueue().wait().succeeded
    eventually(lambda: "success" in ends)
    heard: list[str] = []
    listener = Listener(broker, heard.append)
    listener.start()
    eventually(lambda: heard == [""])
    assert sleep(broker, "idle", 1)
    broker.enqueue(message("idle"))
    eventually(lambda: heard == ["", "idle"])
    listener.stop()
    remember(broker, "idle", 1, b"memory")
    assert look(broker, "idle", 15).memory == b"memory"
    broker.pause("q")
    broker.configure("q", QueuePolicy(ageing=60, dead=10))
    assert broker.dead_letters.retry_all("q", DeadFilter(error="ValueError"), rate=5) == 1
    assert broker.inspector.search(JobFilter(text="fail")).searched
    assert broker.bulk.retry(JobFilter(ended_after=1)).changed == 0
    broker.flush("q")
    broker.resume("q")
    assert broker.inspector.jobs("q", "completed")
    broker.revoke("nobody", b'{"error":"x"}')
    assert broker.inspector.stats("q").lost == 0
    assert own.command("ACL", "LOG") == []

    client = broker.server.client()
    for forbidden in (
        ("SET", "other", 1),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("PUBLISH", "other", 1),
    ):
        with pytest.raises(wire.NoPermissionError):
            client.execute_command(*forbidden)
