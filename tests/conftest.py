"""Fixtures for tests on real servers. Each test has a namespace of its own, so that tests can run side by side.

`server`, `redis_url` and `broker` come in two kinds, Valkey 9 and Redis 7: a test that uses them runs on both. The server
is shared: a test that kills or reconfigures one starts its own with `start_server`.
"""

from __future__ import annotations

import gc
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jobyard.broker import JobyardBroker
from jobyard.worker.worker import JobyardWorker, boot
from support.ledger import audit
from support.proxy import Proxy
from support.servers import KINDS, Kind, Server

# A timing is never a test.
hypothesis.settings.register_profile("jobyard", deadline=None)
hypothesis.settings.load_profile("jobyard")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "valkey_only(reason): runs on Valkey only")
    config.addinivalue_line("markers", "unaudited(reason): the ledger is not checked after this test")


@pytest.fixture(autouse=True)
def _no_collector_callbacks() -> Iterator[None]:
    """Hypothesis listens to the garbage collector, for good. An interrupt of a job that arrives in there would be lost."""
    yield
    gc.callbacks[:] = [one for one in gc.callbacks if "hypothesis" not in str(getattr(one, "__module__", ""))]


# Servers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Kind], Server]]:
    """One server a kind for all tests of this process, started when it is first asked for."""
    running: dict[Kind, Server] = {}

    def get(kind: Kind) -> Server:
        if kind not in running:
            running[kind] = Server(kind, tmp_path_factory.mktemp(kind)).start()
        return running[kind]

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture(params=KINDS)
def server_kind(request: pytest.FixtureRequest) -> Kind:
    """The test runs once for each."""
    kind: Kind = request.param
    for mark in request.node.iter_markers("valkey_only"):
        if kind != "valkey":
            pytest.skip(mark.args[0])
    return kind


@pytest.fixture
def server(shared_servers: Callable[[Kind], Server], server_kind: Kind) -> Server:
    """A shared server with an append-only file. Don't stop or reconfigure it."""
    return shared_servers(server_kind)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own: `start_server("valkey", aof=True, options={…})`.

    Their append-only file is synced with every write. With everysec a server answers before it writes while a sync is under
    way (for up to two seconds), so that a kill may take with it what was acknowledged; that is Redis's promise, not ours.
    """
    started: list[Server] = []

    def start(kind: Kind = "valkey", **options: Any) -> Server:
        directory = tmp_path / f"server-{len(started)}"
        directory.mkdir()
        configuration = options.pop("options", {})
        if not options.get("sentinel"):
            configuration = {"appendfsync": "always", **configuration}
        one = Server(kind, directory, options=configuration, **options)
        started.append(one)
        return one.start()

    yield start
    for one in started:
        if one.running:
            one.kill()  # In order, it would wait for its replicas.


@pytest.fixture
def start_proxy() -> Iterator[Callable[[int], Proxy]]:
    """Starts proxies: `start_proxy(server.port)`."""
    started: list[Proxy] = []

    def start(port: int) -> Proxy:
        started.append(Proxy(port))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def redis_url(server: Server) -> str:
    """The shared server's URL."""
    return server.url


# Broker and worker -------------------------------------------------------------------------------------------------


@pytest.fixture
def namespace() -> str:
    """Prefix of this test's keys."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_broker(namespace: str) -> Iterator[Callable[..., JobyardBroker]]:
    """Makes brokers in the test's namespace: `make_broker(url, **options)`. They are closed at the end."""
    made: list[JobyardBroker] = []

    def make(url: str, **options: Any) -> JobyardBroker:
        made.append(JobyardBroker(url, **{"namespace": namespace, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def broker(
    request: pytest.FixtureRequest, redis_url: str, make_broker: Callable[..., JobyardBroker]
) -> Iterator[JobyardBroker]:
    """A broker on the shared server; it is Dramatiq's global one during the test. Afterwards the ledger must add up."""
    made = make_broker(redis_url)
    before = dramatiq.broker.global_broker
    dramatiq.set_broker(made)
    yield made
    dramatiq.broker.global_broker = before
    if request.node.get_closest_marker("unaudited") is None:
        audit(made)


@pytest.fixture
def start_worker(request: pytest.FixtureRequest) -> Iterator[Callable[..., JobyardWorker]]:
    """Starts workers in this process: `start_worker(threads=1, queues=None, lease=15, broker=…)`.

    They are stopped before the broker's ledger is looked at, and none may have a dead thread.
    """
    started: list[JobyardWorker] = []

    def start(*, threads: int = 1, broker: JobyardBroker | None = None, **options: Any) -> JobyardWorker:
        if broker is None:
            broker = request.getfixturevalue("broker")
        boot(broker)
        one = JobyardWorker(broker, worker_threads=threads, **options)
        one.start()
        started.append(one)
        return one

    # Made first, so that it is taken down last.
    if "broker" in request.fixturenames:
        request.getfixturevalue("broker")
    yield start
    complaints = [one.complaint() for one in started]
    for one in started:
        one.stop(timeout=5000)
    assert not any(complaints), complaints
