"""The real command, as a process of its own: errors, and what only a process can show."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import pytest

from jobyard.broker import JobyardBroker
from support.processes import free_port

VERBS = [
    ("job", "show", "x"), ("job", "list"), ("job", "wait", "x"), ("job", "cancel", "x", "y"),
    ("queue", "list"), ("queue", "pause", "x"),
    ("dead", "list"), ("workers",), ("audit",), ("enqueue", "add"),
]  # fmt: skip


def _run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobyard.cli", *words],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_redis_that_is_away_is_one_sentence(words: tuple[str, ...]) -> None:
    done = _run(*words, JOBYARD_REDIS_URL=f"redis://:hush@127.0.0.1:{free_port()}/0", JOBYARD_PATIENCE="0")
    assert done.returncode == 3
    assert "no connection to Redis" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hush" not in done.stderr


def test_nobody_is_kept_waiting_for_a_redis_that_is_away() -> None:
    before = time.monotonic()
    done = _run("audit", JOBYARD_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", JOBYARD_PATIENCE="3600")
    assert done.returncode == 3
    assert time.monotonic() - before < 20


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"JOBYARD_REDIS_URL": "http://127.0.0.1"}, "can't understand the Redis URL"),
        ({"JOBYARD_NAMESPACE": "a b"}, "JOBYARD_NAMESPACE"),
        ({"JOBYARD_PATIENCE": "soon"}, "JOBYARD_PATIENCE"),
    ],
)
def test_an_environment_that_is_wrong_is_one_sentence(environment: dict[str, str], reason: str) -> None:
    done = _run("audit", **environment)
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_where_the_output_knows_few_characters_it_is_still_written(redis_url: str, namespace: str) -> None:
    environment = {"JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": namespace, "PYTHONIOENCODING": "latin-1"}
    _run("enqueue", "add", "--args", '["東京"]', **environment)
    for form in ("table", "json", "yaml"):
        done = _run("job", "list", "-o", form, **environment)
        assert done.returncode == 0, done.stderr
        assert "\\u6771" in done.stdout


@pytest.mark.parametrize(("answer", "status", "left"), [(b"n\n", 1, 2), (b"y\n", 0, 0)])
def test_at_a_terminal_discarding_many_asks(
    broker: JobyardBroker, redis_url: str, bury: Callable[..., list[str]], answer: bytes, status: int, left: int
) -> None:
    bury("no", 1, 2)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "jobyard.cli", "dead", "discard", "--all"],
            stdin=theirs, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace},
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Discard 2 dead letters of emails for ever?" in done.stderr + done.stdout
    assert done.returncode == status
    assert broker.inspector.stats("emails").dead == left


def test_it_says_its_version() -> None:
    done = _run("--version")
    assert done.returncode == 0
    assert done.stdout == f"jobyard {version('jobyard')}\n"
