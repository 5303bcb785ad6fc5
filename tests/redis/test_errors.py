"""Whatever is wrong between a producer and Redis becomes one of four errors, after a bounded time, and says what to do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import dramatiq
import pytest
import redis.exceptions as wire
from dramatiq.errors import BrokerConnectionError

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerError, BrokerFullError, BrokerRefusedError, BrokerUnavailableError
from jobyard.worker.worker import JobyardWorker
from support.hand import look_up, message
from support.processes import free_port
from support.proxy import Proxy
from support.servers import Kind, Server
from support.waiting import eventually

MakeBroker = Callable[..., JobyardBroker]
StartServer = Callable[..., Server]


def enqueue(broker: JobyardBroker) -> None:
    broker.enqueue(message("q", "payload"))


# Nobody answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [0, 0.3])
def test_where_nobody_listens_a_producer_gives_up_after_its_patience(make_broker: MakeBroker, patience: float) -> None:
    broker = make_broker(f"redis://127.0.0.1:{free_port()}/0", patience=patience)
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="no connection to Redis") as error:
        enqueue(broker)
    assert patience * 0.5 <= time.monotonic() - begun < patience + 0.5
    # So that programs written for Dramatiq catch it.
    assert isinstance(error.value, BrokerConnectionError)


@pytest.mark.parametrize("patience", [0.1, 0.5])
def test_where_nobody_answers_a_producer_gives_up_in_bounded_time(
    server: Server,
    make_broker: MakeBroker,
    start_proxy: Callable[[int], Proxy],
    patience: float,
) -> None:
    proxy = start_proxy(server.port)
    broker = make_broker(proxy.url, patience=patience, reply_timeout=0.2, socket_timeout=0.2)
    enqueue(broker)
    proxy.silence()
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        enqueue(broker)
    assert time.monotonic() - begun < patience + 0.2 + 0.3


def test_a_short_outage_is_not_noticed(make_broker: MakeBroker, start_server: StartServer) -> None:
    own = start_server()
    broker = make_broker(own.url, patience=10)
    enqueue(broker)
    own.kill()
    producer = threading.Thread(target=enqueue, args=[broker])
    producer.start()
    time.sleep(0.3)
    own.start()
    producer.join()
    assert broker.inspector.stats("q").waiting == 2


def test_after_an_error_the_next_call_works(
    server: Server, make_broker: MakeBroker, start_proxy: Callable[[int], Proxy]
) -> None:
    proxy = start_proxy(server.port)
    broker = make_broker(proxy.url, patience=0)
    proxy.refuse()
    with pytest.raises(BrokerUnavailableError):
        enqueue(broker)
    proxy.heal()
    enqueue(broker)
    assert broker.inspector.stats("q").waiting == 1


# A server that is not ready ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_replica_is_a_server_that_fails_over(make_broker: MakeBroker, start_server: StartServer, kind: Kind) -> None:
    first = start_server(kind)
    replica = start_server(kind, options={"replicaof": ("127.0.0.1", str(first.port))})
    with pytest.raises(BrokerUnavailableError, match="failing over"):
        enqueue(make_broker(replica.url, patience=0))
    strict = start_server(kind, options={"replicaof": ("127.0.0.1", "1"), "replica-serve-stale-data": "no"})
    for ask in (enqueue, lambda broker: broker.inspector.stats("q")):
        with pytest.raises(BrokerUnavailableError, match="failing over"):
            ask(make_broker(strict.url, patience=0))


def test_a_producer_waits_for_a_replica_that_takes_over(make_broker: MakeBroker, start_server: StartServer) -> None:
    first = start_server()
    replica = start_server(options={"replicaof": ("127.0.0.1", str(first.port))})
    broker = make_broker(replica.url, patience=10)
    promote = threading.Timer(0.3, lambda: replica.command("REPLICAOF", "NO", "ONE"))
    promote.start()
    enqueue(broker)
    promote.join()
    assert broker.inspector.stats("q").waiting == 1


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_producer_waits_for_a_server_that_loads_its_data(
    make_broker: MakeBroker, start_server: StartServer, kind: Kind
) -> None:
    own = start_server(kind)
    with own.client() as client:
        client.mset({f"key-{number}": "x" for number in range(2000)})
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    own.stop()
    # 2000 keys, half a millisecond each; it answers after every few bytes.
    own.configure({"key-load-delay": "500", "loading-process-events-interval-bytes": "1024"})
    own.start(wait=False)

    def is_loading() -> bool:
        try:
            own.command("GET", "key-1")
        except wire.BusyLoadingError:
            return True
        except wire.ConnectionError:
            pass
        return False

    eventually(is_loading)
    with pytest.raises(BrokerUnavailableError, match=r"LOADING|loading"):
        enqueue(make_broker(own.url, patience=0))
    patient = make_broker(own.url, patience=20)
    enqueue(patient)
    assert patient.inspector.stats("q").waiting == 1


def test_a_server_that_is_busy_with_a_script_is_waited_for(make_broker: MakeBroker, start_server: StartServer) -> None:
    own = start_server(options={"busy-reply-threshold": "50"})
    broker = make_broker(own.url, patience=0)
    enqueue(broker)

    def be_busy() -> None:
        with pytest.raises(wire.ResponseError):
            own.command("EVAL", "while true do end", 0)

    busy = threading.Thread(target=be_busy)
    busy.start()
    time.sleep(0.2)
    with pytest.raises(BrokerUnavailableError, match="BUSY"):
        enqueue(broker)
    own.command("SCRIPT", "KILL")
    busy.join()
    enqueue(broker)


def test_a_server_without_its_replicas_is_waited_for(make_broker: MakeBroker, start_server: StartServer) -> None:
    own = start_server(options={"min-replicas-to-write": "1"})
    with pytest.raises(BrokerUnavailableError, match="NOREPLICAS"):
        enqueue(make_broker(own.url, patience=0))


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
def test_a_cluster_that_is_down_is_unavailable(make_broker: MakeBroker, start_server: StartServer, scheme: str) -> None:
    own = start_server(options={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    with pytest.raises(BrokerUnavailableError):
        enqueue(make_broker(f"{scheme}://127.0.0.1:{own.port}", patience=0.2))


def test_a_server_that_forgot_the_scripts_is_taught_again(
    server: Server, broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None: ...

    start_worker()
    for _ in range(3):
        sent = work.send()
        server.command("SCRIPT", "FLUSH")
        eventually(lambda sent=sent: look_up(broker, sent.message_id).state == "completed")
        server.command("SCRIPT", "FLUSH")
        assert broker.inspector.stats("q").lost == 0


# A server that refuses ---------------------------------------------------------------------------------------------


def test_a_missing_or_wrong_password_is_refused_at_once_and_not_shown(
    make_broker: MakeBroker, start_server: StartServer
) -> None:
    own = start_server(options={"requirepass": "right"})
    for credentials in ("", ":wrong@", "someone:wrong@"):
        url = f"redis://{credentials}127.0.0.1:{own.port}/0"
        begun = time.monotonic()
        with pytest.raises(BrokerRefusedError, match=r"user or password|ACL") as error:
            enqueue(make_broker(url))
        assert time.monotonic() - begun < 1
        assert "wrong" not in str(error.value).replace("WRONGPASS", "")
    enqueue(make_broker(f"redis://:right@127.0.0.1:{own.port}/0"))


def test_a_user_who_may_not_is_refused(make_broker: MakeBroker, start_server: StartServer) -> None:
    own = start_server()
    own.command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@read", "+info")
    with pytest.raises(BrokerRefusedError, match="ACL"):
        enqueue(make_broker(f"redis://reader:secret@127.0.0.1:{own.port}/0"))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_keys_is_refused_and_stays_refused(
    make_broker: MakeBroker, start_server: StartServer, policy: str
) -> None:
    own = start_server(options={"maxmemory": "50mb", "maxmemory-policy": policy})
    broker = make_broker(own.url)
    for _ in range(2):
        with pytest.raises(BrokerRefusedError, match=f"(?s){policy}.*noeviction"):
            enqueue(broker)
    worker = JobyardWorker(broker, queues={"q"}, worker_threads=1)
    with pytest.raises(BrokerRefusedError, match="noeviction"):
        worker.start()
    own.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    enqueue(broker)


def test_a_server_that_was_away_at_first_is_checked_all_the_same(
    make_broker: MakeBroker, start_server: StartServer
) -> None:
    own = start_server(options={"maxmemory-policy": "allkeys-lru"})
    own.kill()
    broker = make_broker(own.url, patience=0)
    with pytest.raises(BrokerUnavailableError):
        enqueue(broker)
    own.start()
    with pytest.raises(BrokerRefusedError, match="noeviction"):
        enqueue(broker)


def test_a_server_without_an_append_only_file_is_warned_about(
    make_broker: MakeBroker, start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    own = start_server(aof=False)
    with caplog.at_level(logging.WARNING):
        broker = make_broker(own.url.replace("//", "//:@"))
        enqueue(broker)
        enqueue(broker)
    warnings = [record.message for record in caplog.records if "appendonly yes" in record.message]
    assert len(warnings) == 1
    assert f"127.0.0.1:{own.port}" in warnings[0]


def test_a_command_that_redis_rejects_is_an_error_of_the_broker(server: Server, broker: JobyardBroker) -> None:
    server.client().set(broker.keys("q")["jobs"], "not a hash")
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        enqueue(broker)
    server.client().delete(broker.keys("q")["jobs"])


# A server that is full ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_full_server_takes_no_new_jobs_but_workers_go_on_and_make_room(
    make_broker: MakeBroker, start_server: StartServer, start_worker: Callable[..., JobyardWorker], kind: Kind
) -> None:
    own = start_server(kind, options={"maxmemory": "10mb"})
    broker = make_broker(own.url)
    runs: list[int] = []

    @dramatiq.actor(queue_name="q", broker=broker, max_retries=1, min_backoff=1)
    def work(number: int, payload: str) -> str:
        runs.append(number)
        if runs.count(number) == 1 and number % 5 == 0:
            raise ValueError("on purpose")
        return payload[:10]

    sent = 0

    def fill() -> None:
        nonlocal sent
        while True:
            work.send(sent, "x" * 20_000)
            sent += 1

    with pytest.raises(BrokerFullError, match="out of memory"):
        fill()
    assert broker.inspector.stats("q").waiting == sent
    # What operators need in this situation works.
    broker.pause("q")
    broker.cancel(broker.inspector.jobs("q", "waiting", limit=1)[0].id)
    broker.resume("q")
    # A new process, which has not spoken to this server before.
    fresh = make_broker(own.url)
    fresh.declare_actor(work)
    start_worker(broker=fresh, queues={"q"})
    eventually(lambda: broker.inspector.stats("q").completed == sent - 1, 20)
    stats = broker.inspector.stats("q")
    assert (stats.lost, stats.dead) == (0, 0)
    own.command("CONFIG", "SET", "maxmemory", "100mb")
    work.send(1, "x")
