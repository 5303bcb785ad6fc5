"""The `jobyard` command on a real server. Most run inside the test's process, in Typer's runner, which is quicker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import dramatiq
import pytest
from typer.testing import CliRunner

from jobyard.broker import JobyardBroker
from jobyard.cli import COMMANDS
from jobyard.cli.app import app
from jobyard.errors import PermanentError
from support.servers import Kind
from support.waiting import eventually


@pytest.fixture
def server_kind() -> Kind:
    """The command doesn't care which Redis it is: one will do."""
    return "valkey"


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def jobyard(broker: JobyardBroker, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Runs the command in the test's namespace: `jobyard("job", "show", job_id, input="y\\n")`."""
    monkeypatch.setenv("JOBYARD_REDIS_URL", redis_url)
    monkeypatch.setenv("JOBYARD_NAMESPACE", broker.namespace)
    for name in COMMANDS:
        import_module(f"jobyard.cli.{name}")

    def run(*words: str, **options: Any) -> Said:
        result = CliRunner().invoke(app, words, **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def bury(broker: JobyardBroker, start_worker: Callable[..., Any]) -> Callable[..., list[str]]:
    """Makes dead letters: `bury("no such user", 1, 2)` returns the ids of one for each argument, the oldest first."""

    def die(reason: str, value: Any = None) -> None:
        raise PermanentError(reason)

    actor = dramatiq.actor(die, queue_name="emails", actor_name="send", broker=broker)

    def bury(reason: str, *values: Any) -> list[str]:
        ids = [actor.send(reason, value).message_id for value in values]
        worker = start_worker()

        def states() -> set[str]:
            return {job.state for job in broker.inspector.jobs_by_id("emails", ids)}

        eventually(lambda: states() == {"dead"}, what="the jobs are dead")
        worker.stop(timeout=5000)
        return ids

    return bury
