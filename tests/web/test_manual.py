"""Every curl command of docs/rest.md does what it says, as it is written there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.workers import Announcement, Register
from support.waiting import eventually
from web.conftest import Client

MANUAL = Path(__file__).parents[2] / "docs" / "rest.md"
HERE = "http://127.0.0.1:8080"


def commands() -> list[Any]:
    blocks = re.findall(r"```sh\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("curl ") and HERE in line]


@pytest.fixture
def manual(web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]) -> Iterator[Callable[[str], str]]:
    """What the manual speaks of is there: a job 4f9a, which has failed, a group of failures, a batch, and a worker.
    Returns what puts the real names into a command."""

    @dramatiq.actor(queue_name="emails", actor_name="send_email", broker=broker, max_retries=0)
    def send_email(**kwargs: Any) -> None:
        raise jobyard.PermanentError("no stamp")

    message = send_email.message_with_options(kwargs={"to": "grace@example.org"})
    batch = jobyard.Batch([message], broker=broker)
    broker.enqueue(message.copy(message_id="4f9a"))
    batch.enqueue()
    worker = start_worker(queues={"emails"})
    eventually(lambda: broker.inspector.stats("emails").dead == 2, what="both died")
    worker.stop()
    (group,) = broker.failures.groups("emails")
    register = Register(broker, "0123456789abcdef")
    register.announce(
        Announcement(
            name="pod/1", pod=None, queues=["emails", "default"], actors=["send_email", "add"], threads=1, running=[],
            draining=False, completed=0, failed=0, started_at=0, version="1",
        )
    )  # fmt: skip
    names = {HERE: web.url, "5d41402abc4b": group.fingerprint, "emails:4f9a": batch.id}

    def real(command: str) -> str:
        for word, name in names.items():
            command = command.replace(word, name)
        return command

    yield real
    register.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_manual_works(manual: Callable[[str], str], command: str) -> None:
    done = subprocess.run(
        [*shlex.split(manual(command)), "--silent", "--show-error", "--fail-with-body", "--max-time", "20", "--noproxy", "*"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("{")


def test_the_manual_has_commands() -> None:
    assert len(commands()) > 15
