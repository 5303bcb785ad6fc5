"""Who may come in, and what every answer carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dramatiq import Message
from pydantic import SecretStr

from jobyard.broker import JobyardBroker
from jobyard.web.server import WebServer
from jobyard.web.settings import WebConfigError, WebSettings, read_settings
from web.conftest import Answer, Client

TOKEN = "correct-horse-battery-staple"


# Without a token -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1", "127.8.8.8"])
def test_the_machine_itself_may_come_in(web: Client, host: str) -> None:
    assert web.get("/api/jobs/stats", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.7", "127.0.0.1.nip.example:80", "", "[::1", "0x7f.1"]
)
@pytest.mark.parametrize("path", ["/", "/api/jobs/stats", "/healthz"])
def test_a_name_that_was_made_to_mean_this_machine_is_refused(web: Client, host: str, path: str) -> None:
    answer = web.get(path, Host=host)

    assert answer.status == 421
    assert answer.json["type"] == "urn:jobyard:problem:wrong-host"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),  # curl
        ({"Content-Type": "application/json"}, 404),
        ({"Content-Type": "application/json; charset=utf-8", "Sec-Fetch-Site": "same-origin"}, 404),
        ({"Origin": "http://{host}"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_a_page_of_another_site_can_change_nothing(web: Client, headers: dict[str, str], status: int) -> None:
    host = web.url.removeprefix("http://")
    sent = {name: value.format(host=host) for name, value in headers.items()}

    for method, path in [("POST", "/api/jobs/x/retry"), ("DELETE", "/api/jobs/x"), ("POST", "/api/queues/x/pause")]:
        assert web.ask(method, path, headers=sent).status == status, (method, path)


def test_another_site_is_told_nothing_either(web: Client, broker: JobyardBroker) -> None:
    """A page may send the request, but the browser gives it the answer only if a header says so. None does."""
    answer = web.get("/api/jobs/stats", Origin="http://evil.example")

    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_without_a_token_only_a_loopback_address_is_served(broker: JobyardBroker, host: str) -> None:
    with pytest.raises(WebConfigError, match="JOBYARD_TOKEN"):
        WebServer(broker, WebSettings(web_host=host, web_port=0))


# With a token --------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(serve: Callable[..., Client], broker: JobyardBroker, redis_url: str) -> Client:
    """A server with a token. The client sends it."""
    return serve(redis_url, token=TOKEN)


def test_who_has_the_token_may_come_in_by_any_name(guarded: Client) -> None:
    assert guarded.get("/api/jobs/stats", Host="jobs.example.org").status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer ä",
    ],
)
@pytest.mark.parametrize("path", ["/api/jobs/stats", "/api/events", "/api/nothing"])
def test_nobody_else_may(guarded: Client, authorization: str, path: str) -> None:
    answer = guarded.get(path, Authorization=authorization.encode("latin-1").decode("latin-1"))

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="jobyard"'
    assert TOKEN not in answer.body.decode()


def test_the_dashboards_files_and_the_probe_need_no_token(guarded: Client) -> None:
    for path in ("/", "/dashboard/style.css", "/healthz"):
        assert guarded.get(path, Authorization="").status == 200


def test_a_token_does_not_make_a_foreign_page_welcome(guarded: Client) -> None:
    assert guarded.ask("POST", "/api/jobs/x/retry", headers={"Origin": "http://evil.example"}).status == 403


def test_with_a_token_every_address_is_served(broker: JobyardBroker) -> None:
    server = WebServer(broker, WebSettings(web_host="0.0.0.0", web_port=0, token=SecretStr(TOKEN))).start()
    try:
        assert server.url == f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("token", "message"),
    [("short", "at least 16"), ("with a space in it " * 2, "letters, digits"), ("ä" * 20, "letters")],
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str, message: str
) -> None:
    monkeypatch.setenv("JOBYARD_TOKEN", token)

    with pytest.raises(WebConfigError, match=f"JOBYARD_TOKEN: .*{message}") as caught:
        read_settings()
    assert token not in str(caught.value)


def test_an_empty_token_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_TOKEN", "")

    assert read_settings().token is None


# Headers -------------------------------------------------------------------------------------------------------------


def assert_secure(answer: Answer) -> None:
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Server" not in answer.headers


def test_every_answer_carries_the_security_headers(web: Client, broker: JobyardBroker) -> None:
    broker.enqueue(Message("emails", "nobody", (), {}, {}, "1"))

    for path in ("/", "/dashboard/scripts/main.js", "/api/jobs/1", "/api/jobs/2", "/nowhere", "/healthz"):
        assert_secure(web.get(path))
    assert_secure(web.get("/", Host="evil.example"))
    assert_secure(web.ask("PUT", "/api/jobs/1"))


def test_what_the_api_says_is_not_kept_by_caches(web: Client) -> None:
    assert web.get("/api/jobs/stats").headers["Cache-Control"] == "no-store"
