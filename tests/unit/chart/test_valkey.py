"""The trial Valkey, run for real with the arguments that the chart gives it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from dramatiq import Message
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Inspector
from support.chart import ROOT, Document, one, pod_spec, render
from support.processes import free_port
from support.servers import binary
from support.waiting import eventually


def container(values: dict[str, Any]) -> Document:
    spec = pod_spec(one(render({"valkey": {"enabled": True, **values}}), "StatefulSet"))
    assert spec is not None
    found: Document = spec["containers"][0]
    return found


@contextmanager
def running(values: dict[str, Any], tmp_path: Path, **moved: Path) -> Iterator[int]:
    """Start it, with its folders where the test may write; gives the port."""
    port = free_port()
    places = {"/data": str(tmp_path), "6379": str(port), **{name: str(path) for name, path in moved.items()}}
    arguments = [places.get(argument, argument) for argument in container(values)["args"]]
    process = subprocess.Popen([binary("valkey"), *arguments, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def client_of(port: int, **user: str) -> redis.Redis:
    # Its own retries would take seconds over a refusal.
    return redis.Redis(port=port, decode_responses=True, retry=Retry(NoBackoff(), 0), **user)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.AuthenticationError:
        raise
    except redis.RedisError:
        return False


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_it_keeps_its_file_and_never_evicts(tmp_path: Path, fsync: str) -> None:
    with running({"appendfsync": fsync}, tmp_path) as port, client_of(port) as client:
        eventually(lambda: answers(client), 20, what="it answers")
        found = {
            name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "save", "maxmemory-policy")
        }
        assert found == {"appendonly": "yes", "appendfsync": fsync, "save": "", "maxmemory-policy": "noeviction"}
        assert client.config_get("maxmemory")["maxmemory"] == str(256 << 20)
        # Reached from other pods, not only from its own.
        assert client.config_get("protected-mode")["protected-mode"] == "no"
        assert (tmp_path / "appendonlydir").is_dir()


def test_users_come_from_the_secret_and_the_documented_one_may_do_all_that_is_needed(tmp_path: Path) -> None:
    [rights] = re.findall("^rights='(.*)'$", (ROOT / "docs/install.md").read_text(encoding="utf-8"), re.MULTILINE)
    users = tmp_path / "users.acl"
    users.write_text(f"user default off\nuser jobyard on >correct-horse {rights}\n", encoding="utf-8")
    given = {"auth": {"existingSecret": "valkey"}}
    with running(given, tmp_path, **{"/etc/valkey/users.acl": users}) as port:
        with client_of(port, username="jobyard", password="correct-horse") as client:
            eventually(lambda: answers(client), 20, what="it answers")
        broker = JobyardBroker(f"redis://jobyard:correct-horse@127.0.0.1:{port}/0")
        broker.enqueue(Message(queue_name="emails", actor_name="welcome", args=("ada",), kwargs={}, options={}))
        assert Inspector(broker).stats("emails").waiting == 1
        broker.close()
        with client_of(port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_no_password_is_in_its_arguments_or_made_up() -> None:
    documents = render({"valkey": {"enabled": True, "auth": {"existingSecret": "valkey"}}})
    assert not [each for each in documents if each["kind"] == "Secret"]
    spec = pod_spec(one(documents, "StatefulSet"))
    assert spec is not None
    assert "env" not in spec["containers"][0]
    [users] = [each["secret"] for each in spec["volumes"] if each["name"] == "users"]
    assert users["secretName"] == "valkey"
    # Readable for its group, which is the pod's.
    assert (users["defaultMode"], spec["securityContext"]["fsGroup"]) == (0o440, 999)


def test_its_file_is_on_a_volume_or_goes_with_the_pod() -> None:
    [claim] = one(render({"valkey": {"enabled": True}}), "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    trying = one(render({"valkey": {"enabled": True, "persistence": {"enabled": False}}}), "StatefulSet")["spec"]
    assert "volumeClaimTemplates" not in trying
    assert trying["template"]["spec"]["volumes"] == [{"name": "data", "emptyDir": {}}]


def test_another_image_with_the_server_elsewhere() -> None:
    found = container({"image": "localhost/jobyard:dev", "command": ["/opt/valkey/valkey-server"]})
    assert (found["image"], found["command"]) == ("localhost/jobyard:dev", ["/opt/valkey/valkey-server"])
