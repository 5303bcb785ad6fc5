"""Whatever goes wrong gets an answer that says what, as RFC 9457 wants it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from jobyard.web import backroom
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.requests import LARGEST_BODY
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually
from web.conftest import Answer, Client

RETRY = "/api/dead-letters/retry"


def assert_problem(answer: Answer, kind: Kind) -> None:
    assert answer.status == kind.status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert (problem["type"], problem["title"], problem["status"]) == (kind.uri, kind.title, kind.status)
    assert len(problem["detail"]) > 10


# Requests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"{", b"nonsense", b'{"all": tru}', b"\xff\xfe", b"[" * 100_000, b"'single'"])
def test_a_body_that_is_not_json(web: Client, raw: bytes) -> None:
    answer = web.ask("POST", RETRY, raw=raw, headers={"Content-Type": "application/json"})

    assert_problem(answer, Kind.MALFORMED_JSON)


def test_malformed_json_says_where(web: Client) -> None:
    answer = web.ask("POST", RETRY, raw=b'{\n  "all": tru\n}', headers={"Content-Type": "application/json"})

    assert "line 2, column 10" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], ""),
        ("all", ""),
        ({"everything": True}, "everything"),
        ({"all": "perhaps"}, "all"),
        ({"queue": "emails", "ids": [1]}, "ids.0"),
        ({"queue": "emails", "ids": ["x" * 257]}, "ids.0"),
        ({"queue": "emails", "rate": 0}, "rate"),
        ({"ids": ["1"]}, ""),
        ({}, ""),
    ],
)
def test_a_body_with_a_wrong_field(web: Client, body: Any, path: str) -> None:
    answer = web.post(RETRY, body)

    assert_problem(answer, Kind.INVALID_REQUEST)
    assert [error["path"] for error in answer.json["errors"]] == [path]


def test_a_body_that_is_too_large_by_what_it_says(web: Client) -> None:
    answer = web.ask("POST", RETRY, raw=b" " * (LARGEST_BODY + 1), headers={"Content-Type": "application/json"})

    assert_problem(answer, Kind.BODY_TOO_LARGE)


def test_a_body_that_is_too_large_without_saying_so(web: Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(LARGEST_BODY // 1000 + 2):
            yield b" " * 1000

    answer = web.ask("POST", RETRY, raw=chunks(), headers={"Content-Type": "application/json"})

    assert_problem(answer, Kind.BODY_TOO_LARGE)


def test_a_body_that_never_ends_is_not_waited_for(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobyard.web.requests._SLOWEST_BODY", 0.2)
    host, port = web.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = (
            f"POST {RETRY} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api", "/api/", "/api/jobs/", "/api/nothing", "/dashboard/", "//", "/%00"]
)
def test_an_address_where_nothing_is(web: Client, path: str) -> None:
    answer = web.get(path)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_method_that_does_not_work_here(web: Client) -> None:
    answer = web.ask("PUT", "/api/jobs")

    assert_problem(answer, Kind.METHOD_NOT_ALLOWED)
    assert "GET" in answer.headers["Allow"]


def test_what_is_in_the_documents_addresses_also_works_with_head(web: Client) -> None:
    answer = web.ask("HEAD", "/api/jobs/stats")

    assert (answer.status, answer.body) == (200, b"")


# Redis -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(start_proxy: Callable[[int], Proxy], server: Server) -> Proxy:
    """A network between the web server and Redis."""
    return start_proxy(server.port)


def test_while_redis_is_away_everything_is_a_503_that_says_when_to_come_back(
    serve: Callable[..., Client], proxy: Proxy, broker: JobyardBroker
) -> None:
    web = serve(proxy.url)
    assert web.get("/healthz").json == {"status": "ok"}

    proxy.refuse()
    for method, path in [
        ("GET", "/healthz"),
        ("GET", "/api/jobs/stats"),
        ("GET", "/api/jobs/x"),
        ("GET", "/api/jobs/x/explain"),
        ("DELETE", "/api/jobs/x"),
        ("POST", "/api/jobs"),
        ("PATCH", "/api/queues/x/policy"),
    ]:
        body = {"POST": {"actor": "x", "force": True}, "PATCH": {"rate": 1}}.get(method)
        answer = web.ask(method, path, body=body)
        assert_problem(answer, Kind.REDIS_UNAVAILABLE)
        assert int(answer.headers["Retry-After"]) > 0
    assert web.get("/").status == 200

    proxy.heal()
    assert web.get("/healthz").status == 200


def test_a_redis_that_refuses_us_is_a_502(serve: Callable[..., Client], start_server: Callable[..., Server]) -> None:
    web = serve(start_server(options={"requirepass": "secret"}).url)

    answer = web.get("/api/jobs/stats")

    assert_problem(answer, Kind.REDIS_REFUSES)
    assert "password" in answer.json["detail"]


def test_a_url_with_a_password_is_never_shown(serve: Callable[..., Client]) -> None:
    web = serve("redis://user:hunter2-secret@127.0.0.1:1/0")

    answer = web.get("/api/jobs/stats")

    assert_problem(answer, Kind.REDIS_UNAVAILABLE)
    assert b"hunter2" not in answer.body


# Us --------------------------------------------------------------------------------------------------------------------


def test_a_bug_of_ours_is_a_500_without_a_traceback(
    web: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(desk: Desk) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(Desk, "all_stats", break_down)
    with caplog.at_level(logging.CRITICAL + 1):
        answer = web.get("/api/jobs/stats")

    assert_problem(answer, Kind.INTERNAL)
    assert answer.headers["Connection"] == "close"
    assert b"secret" not in answer.body
    monkeypatch.undo()
    assert web.get("/api/jobs/stats").status == 200


def test_when_too_much_waits_for_redis_more_is_turned_away(
    serve: Callable[..., Client], broker: JobyardBroker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backroom, "_WAITING", 0)
    web = serve(redis_url)
    inside, leave = threading.Semaphore(0), threading.Event()
    usual = Desk.queue_names

    def wait(desk: Desk, queue: str | None = None) -> list[str]:
        inside.release()
        leave.wait(20)
        return usual(desk, queue)

    monkeypatch.setattr(Desk, "queue_names", wait)
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(Client(web.url).get("/api/queues"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=10)

    turned_away = web.get("/api/queues")
    leave.set()
    for thread in threads:
        thread.join()

    assert_problem(turned_away, Kind.OVERLOADED)
    assert turned_away.headers["Retry-After"] == "1"
    assert [answer.status for answer in answers] == [200] * 8
    eventually(lambda: web.get("/api/queues").status == 200)
