"""`jobyard serve`, as a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobyard.broker import JobyardBroker
from jobyard.web.server import WebServer
from jobyard.web.settings import WebConfigError, WebSettings
from support.processes import end, spawn
from support.waiting import eventually
from web.conftest import Client


def environment(**changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    return {**kept, **changed}


@contextmanager
def serving(log: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = spawn(
            [sys.executable, "-m", "jobyard.cli", "serve", *arguments],
            env=environment(**variables), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def url_in(log: Path) -> str:
    found = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), 30, what="it says where it is")
    return found[0]


def test_it_serves_until_it_is_told_to_stop(
    tmp_path: Path, redis_url: str, namespace: str, broker: JobyardBroker
) -> None:
    log = tmp_path / "log"
    variables = {"JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": namespace}
    broker.announce(["emails"])
    with serving(log, "--port", "0", **variables) as process:
        web = Client(url_in(log))
        eventually(lambda: answers(web), 30, what="it answers")
        assert [queue["name"] for queue in web.get("/api/queues").json["queues"]] == ["emails"]
        stream = web.stream("/api/events")
        assert stream.status == 200

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

        assert time.monotonic() - began < 5
        assert "Traceback" not in log.read_text()
        stream.close()
        web.close()


def answers(web: Client) -> bool:
    import urllib3

    try:
        return web.get("/healthz").status == 200
    except urllib3.exceptions.HTTPError:
        return False


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["--host", "0.0.0.0"], {}, "set JOBYARD_TOKEN"),
        ([], {"JOBYARD_TOKEN": "short"}, "JOBYARD_TOKEN: "),
        ([], {"JOBYARD_WEB_PORT": "99999"}, "JOBYARD_WEB_PORT: "),
        ([], {"JOBYARD_REDIS_URL": "http://user:hunter2@localhost"}, "can't understand the Redis URL"),
        (["--host", "203.0.113.7"], {"JOBYARD_TOKEN": "x" * 20}, "can't listen on 203.0.113.7"),
    ],
)
def test_what_can_not_work_is_said_in_one_line(arguments: list[str], variables: dict[str, str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobyard.cli", "serve", *arguments],
        env=environment(**variables), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.startswith("jobyard serve: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_port_that_is_taken_is_said_or_the_next_one_used(make_broker: Callable[..., JobyardBroker]) -> None:
    broker = make_broker("redis://127.0.0.1:1/0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WebConfigError, match=f"port {port} of 127.0.0.1 is taken"):
            WebServer(broker, WebSettings(web_port=port))

        server = WebServer(broker, WebSettings(web_port=port), any_port=True).start()
        assert port < server.port <= port + 20
        server.stop()
