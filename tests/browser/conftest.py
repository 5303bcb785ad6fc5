"""A real browser in front of a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from browser.webdriver import Browser
from jobyard.broker import JobyardBroker
from jobyard.web.server import WebServer
from jobyard.web.settings import WebSettings
from support.servers import Kind


@pytest.fixture
def server_kind() -> Kind:
    """The dashboard doesn't care which Redis it is."""
    return "valkey"


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this process: it takes seconds to start."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """The browser, without anything of an earlier test. Whatever it complains of fails the test."""
    one_browser.open("about:blank")
    one_browser.console()
    yield one_browser
    complaints = one_browser.console()
    one_browser.open("about:blank")
    assert complaints == []


@pytest.fixture
def start_dashboard(make_broker: Callable[..., JobyardBroker]) -> Iterator[Callable[..., WebServer]]:
    """Starts servers: `start_dashboard(redis_url, token=…, port=…)`."""
    running: list[WebServer] = []

    def start(redis_url: str, token: str | None = None, port: int = 0, web_tokens: str | None = None) -> WebServer:
        secret = None if token is None else SecretStr(token)
        settings = WebSettings(web_port=port, token=secret, web_tokens=web_tokens)
        running.append(WebServer(make_broker(redis_url, patience=0.2), settings).start())
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def dashboard(start_dashboard: Callable[..., WebServer], broker: JobyardBroker, redis_url: str) -> str:
    """The URL of a dashboard on the test's broker."""
    return start_dashboard(redis_url).url


@pytest.fixture
def bury(broker: JobyardBroker, start_worker: Callable[..., Any]) -> Callable[..., None]:
    """Makes dead letters: `bury("reports", "an-id", argument, error="no paper")`."""
    from dramatiq import Message

    import jobyard
    from support.waiting import eventually

    def make(queue: str, *ids: str, argument: Any = None, error: str = "no paper") -> None:
        @jobyard.actor(queue_name=queue, actor_name=f"fails_{queue}", broker=broker)
        def fail(argument: Any) -> None:
            raise jobyard.PermanentError(error)

        for job_id in ids:
            broker.enqueue(Message(queue, fail.actor_name, (argument,), {}, {}, job_id))
        worker = start_worker(queues={queue})
        eventually(lambda: broker.inspector.stats(queue).dead == len(ids), what="all died")
        worker.stop()

    return make
