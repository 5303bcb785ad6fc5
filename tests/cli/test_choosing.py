"""Which jobs are meant: filters of `jobyard job list`, `cancel` and `retry`."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker

Run = Callable[..., Any]


def _send(broker: JobyardBroker, actor: str, *args: Any, queue: str = "sums", tags: tuple[str, ...] = ()) -> str:
    options = {"tags": list(tags)} if tags else {}
    return broker.enqueue(Message(queue, actor, args, {"order": {"id": args[0]}}, options)).message_id


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), [1, 2, 3, 4]),
        (("--actor", "add"), [1, 2]),
        (("--tag", "blue"), [2, 3]),
        (("--queue", "sums"), [1, 2, 3]),
        (("--arg", "0=2"), [2]),
        (("--arg", "order.id=3"), [3]),
        (("--arg", "0=3", "--actor", "add"), []),
        (("--text", '{"id":4}'), [4]),
        (("--since", "1h"), [1, 2, 3, 4]),
        (("--until", "1h"), []),
        (("--since", "2020-01-01", "--until", "2021-01-01T00:00:00Z"), []),
        (("--state", "delayed"), []),
        (("--group", "nothing"), []),
    ],
)
def test_a_list_holds_what_fits(jobyard: Run, broker: JobyardBroker, words: tuple[str, ...], wanted: list[int]) -> None:
    ids = {
        _send(broker, "add", 1): 1,
        _send(broker, "add", 2, tags=("blue", "new")): 2,
        _send(broker, "other", 3, tags=("blue",)): 3,
        _send(broker, "other", 4, queue="elsewhere"): 4,
    }
    listed = jobyard("job", "list", *words, "-o", "json").json
    assert sorted(ids[job["job_id"]] for job in listed) == wanted


def test_jobs_are_cancelled_by_filter_and_a_dry_run_changes_nothing(jobyard: Run, broker: JobyardBroker) -> None:
    for number in range(5):
        _send(broker, "add", number, tags=("blue",) if number < 3 else ())
    tried = jobyard("job", "cancel", "--tag", "blue", "--dry-run", "-o", "json").json
    assert (tried["dry_run"], tried["matched"], tried["changed"]) == (True, 3, 0)
    assert broker.inspector.stats("sums").waiting == 5
    said = jobyard("job", "cancel", "--tag", "blue", "--yes", "-o", "json")
    assert (said.status, said.json["changed"], said.json["by_queue"]) == (0, 3, {"sums": 3})
    assert broker.inspector.stats("sums").cancelled == 3
    assert "2 jobs cancelled" in jobyard("job", "cancel", "--queue", "sums", "--all", "--yes").err
    assert "No job fits" in jobyard("job", "cancel", "--queue", "sums", "--all", "--yes").err


def test_dead_letters_are_retried_by_filter(
    jobyard: Run, broker: JobyardBroker, bury: Callable[..., list[str]]
) -> None:
    bury("no such user", 1, 2)
    tried = jobyard("job", "retry", "--arg", "1=2", "--dry-run")
    assert (tried.status, "1 job would be retried" in tried.err) == (0, True)
    said = jobyard("job", "retry", "--arg", "1=2", "-o", "json")
    assert (said.status, said.json["changed"]) == (0, 1)
    stats = broker.inspector.stats("emails")
    assert (stats.waiting, stats.dead) == (1, 1)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("cancel",), "say which"),
        (("cancel", "--queue", "sums"), "say which"),
        (("cancel", "x", "--actor", "add"), "not both"),
        (("cancel", "x", "--dry-run"), "--dry-run is for filters"),
        (("cancel", "--all", "--actor", "add"), "--all means all"),
        (("cancel", "--all"), "give --yes"),
        (("cancel", "--state", "completed", "--yes"), "can't be cancelled"),
        (("retry",), "say which"),
        (("list", "--arg", "x"), "NAME=VALUE"),
        (("list", "--since", "yesterday"), "no time"),
        (("list", "--since", "2026-99-99"), "no time"),
        (("list", "--tag", ""), "not empty"),
    ],
)
def test_what_is_not_clear_changes_nothing(
    jobyard: Run, broker: JobyardBroker, words: tuple[str, ...], reason: str
) -> None:
    _send(broker, "add", 1)
    said = jobyard("job", *words, env={"COLUMNS": "300"})
    assert said.status == 2
    assert reason in said.err
    assert broker.inspector.stats("sums").waiting == 1


@pytest.mark.parametrize(("answer", "status", "left"), [(b"n\n", 1, 2), (b"y\n", 0, 0)])
def test_at_a_terminal_cancelling_many_asks(
    broker: JobyardBroker, redis_url: str, answer: bytes, status: int, left: int
) -> None:
    for number in range(2):
        _send(broker, "add", number)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "jobyard.cli", "job", "cancel", "--actor", "add"],
            stdin=theirs, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace},
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Cancel 2 jobs?" in done.stderr + done.stdout
    assert (done.returncode, broker.inspector.stats("sums").waiting) == (status, left)
