"""`/api/events`: what open dashboards are told."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker
from jobyard.web import feed
from jobyard.web.server import WebServer
from jobyard.web.settings import WebSettings
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually
from web.conftest import Client

Event = tuple[str, Any]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples come ten times as often, so that nobody waits for them."""
    monkeypatch.setattr(feed, "INTERVAL", 0.1)


@contextmanager
def listening(web: Client) -> Iterator[Iterator[Event]]:
    """The events of one connection, as they come."""
    answer = web.stream("/api/events")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")

    def events() -> Iterator[Event]:
        text = ""
        for chunk in answer.stream(4096):
            text += chunk.decode()
            while "\n\n" in text:
                event, text = text.split("\n\n", 1)
                fields = dict(line.split(": ", 1) for line in event.splitlines())
                yield fields["event"], json.loads(fields["data"])

    try:
        yield events()
    finally:
        answer.close()


def wait_for(events: Iterator[Event], fits: Callable[[Event], bool]) -> Event:
    deadline = time.monotonic() + 15
    for event in events:
        if fits(event):
            return event
        assert time.monotonic() < deadline, event
    raise AssertionError("the stream has ended")


def test_a_listener_gets_the_numbers_now_and_whenever_they_change(web: Client, broker: JobyardBroker) -> None:
    with listening(web) as events:
        assert next(events) == ("history", {"interval": 0.1, "samples": []})
        name, data = next(events)
        assert (name, data["queues"]) == ("stats", [])
        assert data["totals"] == {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0}
        assert data["workers"] == {"total": 0, "active": 0, "idle": 0, "draining": 0}

        broker.enqueue(Message("emails", "nobody", (), {}, {}, "1"))

        _, data = wait_for(events, lambda event: event[1]["totals"]["waiting"] == 1)
        assert [queue["name"] for queue in data["queues"]] == ["emails"]


def test_rates_are_told_and_a_page_that_is_loaded_anew_finds_them(
    web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    import jobyard

    @jobyard.actor(broker=broker)
    def work() -> None: ...

    with listening(web) as events:
        wait_for(events, lambda event: event[0] == "stats")
        for _ in range(5):
            work.send()
        start_worker()
        _, data = wait_for(events, lambda event: event[1]["per_second"]["completed"] > 0)
        assert data["per_second"]["failed"] == 0
    with listening(web) as events:
        name, data = next(events)
        assert name == "history"
        assert any(sample["completed"] > 0 for sample in data["samples"])


def test_an_outage_is_told_and_so_is_its_end(
    serve: Callable[..., Client], start_proxy: Callable[[int], Proxy], server: Server, broker: JobyardBroker
) -> None:
    proxy = start_proxy(server.port)
    with listening(serve(proxy.url)) as events:
        wait_for(events, lambda event: event[0] == "stats")
        proxy.refuse()
        _, data = wait_for(events, lambda event: event[0] == "trouble")
        assert data["title"] == "Redis can't be reached"
        proxy.heal()
        wait_for(events, lambda event: event[0] == "stats")


def test_nobody_is_asked_while_nobody_listens(
    web: Client, server: Server, broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_LINGER", 0.2)
    with listening(web) as events:
        wait_for(events, lambda event: event[0] == "stats")

    def calls() -> int:
        with server.client() as client:
            return int(client.info("commandstats").get("cmdstat_smembers", {}).get("calls", 0))

    def silent() -> bool:
        before = calls()
        time.sleep(0.4)  # Four samples, if there were any.
        return calls() == before

    eventually(silent, 10, what="the sampler has ended")


def test_too_many_listeners_are_turned_away(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_LISTENERS", 2)
    with listening(web) as first, listening(web) as second:
        next(first), next(second)
        answer = web.get("/api/events")
        assert answer.status == 503
        assert answer.headers["Retry-After"]
    # Those who have left make room.
    eventually(lambda: can_listen(web), what="there is room again")


def test_a_client_that_stops_reading_makes_room_for_others(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_LISTENERS", 1)
    monkeypatch.setattr("jobyard.web.api.events._SLOWEST_READER", 0.3)
    # More than all the buffers in between hold.
    monkeypatch.setattr("jobyard.web.api.events._event", lambda name, data: "x" * 2**25)
    host, port = web.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        heard = b""
        while b"xxx" not in heard:
            heard += connection.recv(1000)
        assert heard.startswith(b"HTTP/1.1 200")
        monkeypatch.setattr("jobyard.web.api.events._event", lambda name, data: f"event: {name}\n\n")

        eventually(lambda: can_listen(web), what="there is room again")


def can_listen(web: Client) -> bool:
    answer = web.stream("/api/events")
    answer.close()
    return answer.status == 200


def test_a_server_that_stops_ends_the_streams_and_does_not_wait_for_them(broker: JobyardBroker) -> None:
    server = WebServer(broker, WebSettings(web_port=0)).start()
    web = Client(server.url)
    with listening(web) as events:
        next(events)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
        assert len(list(events)) < 5
    web.close()
