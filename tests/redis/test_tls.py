"""TLS, on Debian's Redis 7 (the Valkey of the wheel is built without it)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerRefusedError
from jobyard.worker.worker import JobyardWorker
from support.certificates import Authority
from support.hand import look_up, message
from support.processes import free_port
from support.servers import Server
from support.waiting import eventually

StartServer = Callable[..., Server]
MakeBroker = Callable[..., JobyardBroker]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def options(authority: Authority, port: int, *, clients: bool = False) -> dict[str, str]:
    certificate, key = authority.issue("server")
    return {
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.certificate),
        "tls-auth-clients": "yes" if clients else "no",
    }


def test_jobs_are_sent_and_run_over_tls(
    authority: Authority,
    start_server: StartServer,
    make_broker: MakeBroker,
    start_worker: Callable[..., JobyardWorker],
) -> None:
    port = free_port()
    start_server("redis", options=options(authority, port))
    broker = make_broker(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.certificate}")

    @dramatiq.actor(queue_name="q", broker=broker)
    def work() -> None: ...

    start_worker(broker=broker)
    sent = work.send()
    job = broker.inspector.wait(sent.message_id, queue="q", deadline=time.monotonic() + 5)
    assert job is not None
    assert job.state == "completed"
    delayed = work.send_with_options(delay=100)
    eventually(lambda: look_up(broker, delayed.message_id).state == "completed")


def test_a_certificate_that_can_not_be_trusted_is_refused_at_once(
    authority: Authority, start_server: StartServer, make_broker: MakeBroker, tmp_path: Path
) -> None:
    port = free_port()
    start_server("redis", options=options(authority, port))
    other = Authority(tmp_path / "other")
    for more in ({}, {"ssl_ca_certs": str(other.certificate)}):
        begun = time.monotonic()
        with pytest.raises(BrokerRefusedError, match="certificate"):
            make_broker(f"rediss://127.0.0.1:{port}/0", **more).enqueue(message())
        assert time.monotonic() - begun < 1


def test_a_client_shows_its_certificate(
    authority: Authority, start_server: StartServer, make_broker: MakeBroker
) -> None:
    port = free_port()
    start_server("redis", options=options(authority, port, clients=True))
    certificate, key = authority.issue("client")
    url = f"rediss://127.0.0.1:{port}/0"
    broker = make_broker(
        url, ssl_ca_certs=str(authority.certificate), ssl_certfile=str(certificate), ssl_keyfile=str(key)
    )
    broker.enqueue(message())
    assert broker.inspector.stats("q").waiting == 1


def test_a_sentinel_is_spoken_to_over_tls_too(
    authority: Authority, start_server: StartServer, make_broker: MakeBroker
) -> None:
    port, sentinel_port = free_port(), free_port()
    start_server("redis", options=options(authority, port))
    start_server(
        "redis",
        sentinel=True,
        options={
            **options(authority, sentinel_port),
            "tls-replication": "yes",
            "sentinel monitor jobs": ("127.0.0.1", str(port), "1"),
        },
    )
    broker = make_broker(
        f"rediss+sentinel://127.0.0.1:{sentinel_port}/0?service=jobs", ssl_ca_certs=str(authority.certificate)
    )
    broker.enqueue(message())
    assert broker.inspector.stats("q").waiting == 1
