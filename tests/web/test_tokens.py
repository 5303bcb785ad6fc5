"""Tokens with scopes: who may do what, and that only hashes are kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobyard.broker import JobyardBroker
from jobyard.web.app import document
from jobyard.web.settings import WebConfigError, WebSettings, read_settings
from jobyard.web.tokens import Keyring, Scope, TokenHash, new_token, parse_hashes
from web.conftest import Client

#: A request of each scope, and what it is answered where it is allowed.
REQUESTS = [
    ("GET", "/api/jobs/stats", None, Scope.READ, 200),
    ("GET", "/api/openapi.json", None, Scope.READ, 200),
    ("POST", "/api/jobs/x/retry", None, Scope.OPERATE, 404),
    ("DELETE", "/api/jobs/x", None, Scope.OPERATE, 404),
    ("POST", "/api/queues/x/pause", None, Scope.OPERATE, 404),
    ("POST", "/api/dead-letters/retry", {"all": True}, Scope.OPERATE, 200),
    ("POST", "/api/dead-letters/discard", {"all": True}, Scope.ADMIN, 200),
]


@pytest.fixture
def guarded(serve: Callable[..., Client], broker: JobyardBroker, redis_url: str) -> dict[Scope, Client]:
    """A server with a token of each scope: a client for each."""
    tokens = {scope: new_token(scope) for scope in Scope}
    server = serve(redis_url, web_tokens=",".join(kept.line for _, kept in tokens.values()))
    return {scope: Client(server.url, Authorization=f"Bearer {token}") for scope, (token, _) in tokens.items()}


@pytest.mark.parametrize(("method", "path", "body", "needed", "status"), REQUESTS)
def test_a_token_is_good_for_its_scope_and_those_before(
    guarded: dict[Scope, Client], method: str, path: str, body: object, needed: Scope, status: int
) -> None:
    for scope, client in guarded.items():
        answer = client.ask(method, path, body=body)
        if scope.covers(needed):
            assert answer.status == status
        else:
            assert answer.status == 403
            assert answer.json["type"] == "urn:jobyard:problem:insufficient-scope"
            assert answer.json["scope"] == needed
            said = answer.headers["WWW-Authenticate"]
            assert said == f'Bearer realm="jobyard", error="insufficient_scope", scope="{needed}"'
    assert Client(guarded[Scope.READ].url).ask(method, path, body=body).status == 401


def test_a_token_is_told_what_it_is_good_for(guarded: dict[Scope, Client]) -> None:
    assert {scope: client.get("/api/access").json["scope"] for scope, client in guarded.items()} == {
        scope: scope for scope in Scope
    }


def test_a_scope_is_checked_before_the_fields(guarded: dict[Scope, Client]) -> None:
    assert guarded[Scope.READ].post("/api/dead-letters/discard", {"nonsense": 1}).status == 403


def test_every_route_that_changes_something_needs_more_than_read() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            scopes = [scope for one in operation.get("security", ()) for scope in one["token"]]
            if path == "/healthz":
                assert scopes == []
            elif method == "get":
                assert scopes == ["read"], path
            else:
                assert scopes in (["operate"], ["admin"]), (method, path)


def test_the_one_token_may_do_everything_beside_others(
    serve: Callable[..., Client], broker: JobyardBroker, redis_url: str
) -> None:
    web = serve(redis_url, token="correct-horse-battery-staple", web_tokens=new_token(Scope.READ)[1].line)

    assert web.get("/api/access").json["scope"] == "admin"


def test_tokens_of_a_file(serve: Callable[..., Client], broker: JobyardBroker, redis_url: str, tmp_path: Path) -> None:
    token, kept = new_token(Scope.OPERATE)
    file = tmp_path / "tokens"
    file.write_text(f"# who may come in\n\n{kept.line}  # the deployment job\n")

    web = serve(redis_url, web_tokens_file=file)

    assert web.get("/api/access").status == 401
    assert web.get("/api/access", Authorization=f"Bearer {token}").json["scope"] == "operate"
    # A hash is no token.
    assert web.get("/api/access", Authorization=f"Bearer {kept.digest.hex()}").status == 401


@pytest.mark.parametrize("content", ["", "# nobody\n", "my-token-itself", "owner:sha256:" + "0" * 64, "read:sha256:12"])
def test_a_file_that_can_not_be_meant_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)

    with pytest.raises(WebConfigError, match="jobyard serve token create") as caught:
        WebSettings(web_tokens_file=file).keyring()
    assert "my-token-itself" not in str(caught.value)


def test_settings_that_can_not_be_meant_are_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_WEB_TOKENS", "my-token-itself")
    with pytest.raises(WebConfigError, match=r"JOBYARD_WEB_TOKENS: .*entry 1") as caught:
        read_settings()
    assert "my-token-itself" not in str(caught.value)
    monkeypatch.delenv("JOBYARD_WEB_TOKENS")
    monkeypatch.setenv("JOBYARD_WEB_TOKENS_FILE", "/nowhere/tokens")
    with pytest.raises(WebConfigError, match="JOBYARD_WEB_TOKENS_FILE: /nowhere/tokens can't be read"):
        read_settings().keyring()


def test_only_hashes_are_kept_and_they_come_back_from_their_lines() -> None:
    token, kept = new_token(Scope.READ)

    assert token not in kept.line
    assert parse_hashes(f"{kept.line},{TokenHash.of('x', Scope.ADMIN).line}\n")[0] == kept
    ring = Keyring([kept])
    assert ring.scope_of(token) == "read"
    assert ring.scope_of(token + "x") is None
    assert new_token(Scope.READ)[0] != token


def test_the_command_prints_the_token_and_the_line_apart() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobyard.cli", "serve", "token", "create", "--scope", "operate", "--note", "for ci"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    token = done.stdout.strip()
    (kept,) = parse_hashes(done.stderr)
    assert done.stderr.endswith("# for ci\n")
    assert kept == TokenHash.of(token, Scope.OPERATE)
