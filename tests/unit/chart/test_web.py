"""The dashboard's Deployment: what it is told are settings that `jobyard serve` knows."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.unit.chart.settings import EVERYTHING, TRYING

from jobyard.settings import BrokerSettings
from jobyard.web.settings import read_settings
from jobyard.web.tokens import Scope, new_token
from support.chart import Document, env, one, pod_spec, render


def web(values: dict[str, Any]) -> tuple[Document, Document]:
    """Its pods' spec, and their one container."""
    spec = pod_spec(one(render(values), "Deployment", "jobyard-web"))
    assert spec is not None
    [container] = spec["containers"]
    return spec, container


def test_it_is_off_unless_wanted() -> None:
    assert not [each for each in render() if each["metadata"]["name"] == "jobyard-web"]


def test_it_is_told_what_it_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, container = web(EVERYTHING)
    assert container["args"] == ["serve"]
    given = env(container)
    secret, kept = new_token(Scope.READ)
    mounted = tmp_path / "tokens"
    mounted.write_text(kept.line, encoding="utf-8")
    for name, value in given.items():
        if isinstance(value, str):
            monkeypatch.setenv(name, str(mounted) if value == "/etc/jobyard/tokens" else value)
    settings = read_settings()
    assert (settings.web_host, settings.web_port) == ("0.0.0.0", container["ports"][0]["containerPort"])
    keyring = settings.keyring()
    assert keyring is not None
    assert keyring.scope_of(secret) is Scope.READ
    assert BrokerSettings().namespace == "shop"


def test_it_finds_redis_and_its_tokens_in_secrets() -> None:
    for values, secret in ((EVERYTHING, ("redis", "address")), (TRYING, ("jobyard-valkey", "url"))):
        spec, container = web(values)
        reference = env(container)["JOBYARD_REDIS_URL"]["secretKeyRef"]
        assert (reference["name"], reference["key"]) == secret
        [volume] = [each for each in spec["volumes"] if each["name"] == "tokens"]
        assert volume["secret"] == {"secretName": "tokens", "items": [{"key": "tokens", "path": "tokens"}]}


def test_its_probes_are_answered_without_a_token(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, make_broker: Any
) -> None:
    from jobyard.web.server import WebServer

    monkeypatch.setenv("JOBYARD_TOKEN", "a-token-of-some-length")
    server = WebServer(make_broker(redis_url), read_settings(web_port=0)).start()
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = web(TRYING)[1][probe]["httpGet"]["path"]
            with urllib.request.urlopen(server.url + path, timeout=10) as reply:
                assert reply.status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}/api/jobs/stats", timeout=10)
    finally:
        server.stop()
