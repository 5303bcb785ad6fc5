"""A server behind a real Sentinel, which puts a replica in its place."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.worker.worker import JobyardWorker
from support.acl import sentinel_rules, user_rules
from support.hand import look_up, message
from support.processes import free_port
from support.servers import Kind, Server
from support.waiting import eventually

StartServer = Callable[..., Server]
MakeBroker = Callable[..., JobyardBroker]


@dataclass
class Watched:
    """A master, its replica, and who watches them."""

    master: Server
    replica: Server
    sentinel: Server

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/0?service=jobs"

    def address(self) -> int:
        """The port of the master, as the sentinel says."""
        _, port = self.sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs")
        return int(port)


@pytest.fixture
def watched(start_server: StartServer, kind: Kind) -> Watched:
    master = start_server(kind)
    replica = start_server(kind, options={"replicaof": ("127.0.0.1", str(master.port))})
    eventually(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
    sentinel = start_server(
        kind,
        sentinel=True,
        options={
            "sentinel monitor jobs": ("127.0.0.1", str(master.port), "1"),
            "sentinel down-after-milliseconds jobs": "500",
            "sentinel failover-timeout jobs": "3000",
        },
    )
    # It asks the master for its replicas.
    eventually(lambda: len(sentinel.command("SENTINEL", "REPLICAS", "jobs")) == 1, 15)
    return Watched(master, replica, sentinel)


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_jobs_are_sent_and_run_through_a_sentinel(
    watched: Watched, make_broker: MakeBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    broker = make_broker(watched.url)

    @dramatiq.actor(queue_name="q", broker=broker)
    def work() -> None: ...

    start_worker(broker=broker)
    sent = work.send()
    eventually(lambda: look_up(broker, sent.message_id).state == "completed")
    assert watched.master.command("EXISTS", broker.keys("q")["jobs"]) == 1


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_the_documented_users_are_enough(watched: Watched, make_broker: MakeBroker, namespace: str, kind: Kind) -> None:
    watched.master.command("ACL", "SETUSER", "jobyard", *user_rules(kind, namespace))
    watched.sentinel.command("ACL", "SETUSER", "asker", "on", ">sesame", "-@all", *sentinel_rules())
    watched.sentinel.command("ACL", "SETUSER", "default", "off")
    url = watched.url.replace("//", "//jobyard:secret@")
    broker = make_broker(f"{url}&sentinel_username=asker&sentinel_password=sesame")
    broker.enqueue(message())
    assert broker.inspector.stats("q").waiting == 1
    with pytest.raises(BrokerUnavailableError):
        make_broker(url, patience=0).enqueue(message())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_failover_while_jobs_are_sent_and_run_loses_none(
    watched: Watched, make_broker: MakeBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    # What is confirmed by the replica can't be lost. What isn't is sent again: the same message, so it counts once.
    confirmed = make_broker(watched.url, patience=1, durability="quorum")
    broker = make_broker(watched.url, patience=30)
    runs: Counter[int] = Counter()

    @dramatiq.actor(queue_name="q", broker=broker)
    def work(number: int) -> None:
        runs[number] += 1

    worker = start_worker(broker=broker, threads=2)
    total, sent_all = 0, threading.Event()
    stop = threading.Event()

    def produce() -> None:
        nonlocal total
        producing = confirmed
        while not stop.is_set():
            sent = work.message(total)
            total += 1
            try:
                producing.enqueue(sent)
            except BrokerUnavailableError:
                producing = broker  # There may be no replica any more that could confirm.
                producing.enqueue(sent)
            time.sleep(0.01)
        sent_all.set()

    producer = threading.Thread(target=produce)
    producer.start()
    time.sleep(0.5)
    watched.master.kill()
    eventually(lambda: watched.address() == watched.replica.port, 20, what="the sentinel names the new master")
    eventually(lambda: watched.replica.command("INFO", "replication")["role"] == "master")
    before = total
    eventually(lambda: total > before + 3, 20, what="jobs are sent again")
    stop.set()
    producer.join(30)
    assert sent_all.is_set()
    eventually(lambda: broker.inspector.stats("q").completed == total, 30)
    assert len(runs) == total
    stats = broker.inspector.stats("q")
    assert (stats.lost, stats.orphaned) == (0, 0)
    # One whose end had not reached the replica when the master was killed runs again, no other.
    assert sum(runs.values()) - total <= 8
    assert worker.complaint() is None


def test_without_a_sentinel_that_answers_a_producer_gives_up_after_its_patience(make_broker: MakeBroker) -> None:
    broker = make_broker(
        f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/0?service=jobs", patience=0.2
    )
    with pytest.raises(BrokerUnavailableError, match="No master found for 'jobs'"):
        broker.enqueue(message())
