"""The REST API on a real server, asked over real connections. The REST API doesn't care which Redis it is: one will do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from pydantic import SecretStr

from jobyard.broker import JobyardBroker
from jobyard.web.server import WebServer
from jobyard.web.settings import WebSettings
from support.servers import Kind


@pytest.fixture
def server_kind() -> Kind:
    return "valkey"


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks one server.

    Args:
        url: `http://127.0.0.1:8080`.
        headers: sent with every request.
    """

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self._headers = headers
        self._http = urllib3.PoolManager(retries=False, timeout=20)

    def ask(
        self, method: str, path: str, *, body: Any = None, raw: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request. `body` is sent as JSON, `raw` as it is."""
        sent = {**self._headers, **(headers or {})}
        if body is not None:
            raw, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
        answer = self._http.request(method, self.url + path, body=raw, headers=sent)
        return Answer(answer.status, answer.headers, answer.data)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, body=body, headers=headers)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)

    def stream(self, path: str) -> urllib3.BaseHTTPResponse:
        """An answer that is read while it comes. Close it."""
        return self._http.request("GET", self.url + path, headers=self._headers, preload_content=False)

    def close(self) -> None:
        self._http.clear()


@pytest.fixture
def serve(make_broker: Callable[..., JobyardBroker]) -> Iterator[Callable[..., Client]]:
    """Starts servers: `serve(redis_url, token=…, web_tokens=…)`. Returns a client that sends the token."""
    running: list[WebServer] = []
    clients: list[Client] = []

    def start(
        redis_url: str,
        token: str | None = None,
        web_tokens: str | None = None,
        web_tokens_file: Path | None = None,
        **options: Any,
    ) -> Client:
        settings = WebSettings(
            web_port=0,
            token=None if token is None else SecretStr(token),
            web_tokens=web_tokens,
            web_tokens_file=web_tokens_file,
        )
        server = WebServer(make_broker(redis_url, patience=0.2, **options), settings).start()
        running.append(server)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        clients.append(Client(server.url, **headers))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for server in running:
        server.stop()


@pytest.fixture
def web(serve: Callable[..., Client], broker: JobyardBroker, redis_url: str) -> Client:
    """A server without a token, on the test's broker."""
    return serve(redis_url)


@pytest.fixture
def bury(broker: JobyardBroker, start_worker: Callable[..., Any]) -> Callable[..., list[str]]:
    """Makes dead letters: `bury("reports", "no paper", 3)`. Returns their ids; they die in no certain order."""
    import jobyard
    from support.waiting import eventually

    def make(queue: str, message: str, count: int = 1, *, actor_name: str | None = None) -> list[str]:
        @jobyard.actor(queue_name=queue, actor_name=actor_name or f"fails_{queue}", broker=broker)
        def fail(number: int) -> None:
            raise jobyard.PermanentError(message)

        worker = start_worker(queues={queue})
        ids = [fail.send(number).message_id for number in range(count)]
        eventually(lambda: all(broker.inspector.job(one, queue=queue).state == "dead" for one in ids), what="all died")
        worker.stop()
        del broker.actors[fail.actor_name]
        return ids

    return make
