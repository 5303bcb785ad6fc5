"""`jobyard up` as people use it: from an empty directory, again, interrupted, killed."""

from __future__ import annotations

import contextlib
import csv
import os
import pty
import re
import signal
import sys
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import urllib3
from dramatiq import Message
from openpyxl import load_workbook
from PIL import Image
from pypdf import PdfReader

from local.conftest import Up, is_alive
from support.processes import spawn
from support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

StartUp = Callable[..., Up]


def lines(up: Up, word: str, actor: str) -> dict[str, str]:
    """What is said of jobs: name of the sample → the rest of its line."""
    pattern = rf"^{word} +\w+ +{actor} +sample-[\d-]+-[0-9a-f]{{4}}-(\S+) +(.*)$"
    return dict(re.findall(pattern, up.said, re.MULTILINE))


def file_of(up: Up, line: str) -> Path:
    return up.directory / line.rpartition("→ ")[2]


def test_every_job_type_runs_on_real_input(start_up: StartUp) -> None:
    up = start_up("--once")

    assert up.wait() == 0, up.said
    ledger = r"^Stopped after .*: accepted 2\d = completed \d+ \+ dead letters 1; lost 0\.$"
    assert re.search(ledger, up.said, re.MULTILINE), up.said
    assert "sample jobs ended as intended" in up.said

    emails = lines(up, "completed", "send_email")
    assert len(emails) == 5
    for line in emails.values():
        assert message_from_bytes(file_of(up, line).read_bytes(), policy=policy.default)["Subject"]
    invoice = message_from_bytes(file_of(up, emails["email-invoice"]).read_bytes(), policy=policy.default)
    assert [part.get_filename() for part in invoice.iter_attachments()] == ["logo.png"]
    assert list(lines(up, "dead letter", "send_email")) == ["email-to-nobody"]

    images = lines(up, "completed", "process_image")
    assert len(images) >= 6
    for name, line in images.items():
        with Image.open(file_of(up, line)) as image:
            image.load()
            assert f"{image.width}×{image.height}" in line, name
    assert "320×200" in images["image-thumbnail"]
    assert "in attempt 2" in images["image-retried"]
    assert list(lines(up, "retry", "process_image")) == ["image-retried"]
    assert re.search(r"^running .* image-slow-download|^running .*-image-slow-download +\d+ %", up.said, re.MULTILINE)

    reports = lines(up, "completed", "generate_report")
    assert len(reports) == 8
    for kind in ("sales", "analytics"):
        with file_of(up, reports[f"report-{kind}-csv"]).open(newline="", encoding="utf-8-sig") as file:
            assert len(list(csv.reader(file))) > 1000
        workbook = load_workbook(file_of(up, reports[f"report-{kind}-xlsx"]), read_only=True)
        assert workbook.sheetnames
        workbook.close()
        assert len(PdfReader(file_of(up, reports[f"report-{kind}-pdf"])).pages) >= 1
        assert "<html" in file_of(up, reports[f"report-{kind}-html"]).read_text()[:500]


def test_what_is_interrupted_goes_on_next_time_and_nothing_is_lost(start_up: StartUp) -> None:
    up = start_up("--processes", "1", "--threads", "2")
    up.wait_for(r"^completed ")
    children = up.children()
    assert len(children) >= 3

    up.interrupt()

    assert up.wait() == 0, up.said
    eventually(lambda: not any(map(is_alive, children)), what="no child is left")
    found = re.search(r"accepted (\d+) = completed (\d+).*; lost 0\.", up.said)
    assert found, up.said
    assert int(found[2]) < int(found[1])
    assert "the same command goes on with them" in up.said

    again = start_up("--once", "--no-samples")

    assert again.wait() == 0, again.said
    assert re.search(rf"accepted {found[1]} = completed {int(found[1]) - 1} \+ dead letters 1; lost 0\.", again.said), (
        again.said
    )

    third = start_up("--once")

    assert third.wait() == 0, third.said
    assert re.search(rf"accepted {2 * int(found[1])} = .* dead letters 2; lost 0\.", third.said), third.said


def test_no_child_outlives_it_and_what_was_accepted_survives(start_up: StartUp) -> None:
    up = start_up("--no-samples")
    up.wait_for(r"^Jobyard runs")
    eventually(lambda: len(up.children()) >= 4, 30, what="Valkey and the workers run")
    broker = up.broker()
    broker.enqueue_many(Message("elsewhere", "nobody", (), {}, {}, f"job-{number}") for number in range(100))
    broker.close()
    children = up.children()

    up.process.send_signal(signal.SIGKILL)
    up.process.wait(10)

    eventually(lambda: not any(map(is_alive, children)), 20, what="no child is left")
    again = start_up("--no-samples")
    again.wait_for(r"^Jobyard runs")
    broker = again.broker()
    assert broker.inspector.stats("elsewhere").waiting == 100
    broker.close()
    again.interrupt()
    assert again.wait() == 0
    assert "accepted 100 = completed 0 + waiting 100; lost 0" in again.said


def test_a_valkey_and_workers_that_crash_are_started_again(start_up: StartUp) -> None:
    up = start_up("--no-samples", "--processes", "1")
    up.wait_for(r"^Jobyard runs")
    eventually(lambda: len(up.children()) >= 3, 30)
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in up.children()}
    valkey = next(pid for pid, command in commands.items() if "valkey-server" in command)
    workers = next(pid for pid, command in commands.items() if "\0worker\0" in command)

    os.kill(valkey, signal.SIGKILL)
    up.wait_for(r"^note +Valkey died \(SIGKILL\); started again")
    os.kill(workers, signal.SIGKILL)
    up.wait_for(r"^note +jobyard worker died \(SIGKILL\); started again")

    broker = up.broker()
    from jobyard.jobs import send_email

    message = send_email.message(to="ada@example.org", subject="Still there?", body="Yes.")
    broker.enqueue(message)
    up.wait_for(rf"^completed +emails +send_email +{message.message_id}")
    broker.close()
    up.interrupt()
    assert up.wait() == 0


def test_actors_of_ones_own_are_served_beside_the_built_in_ones(start_up: StartUp, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text(
        "import jobyard\n\n@jobyard.actor(queue_name='greetings')\ndef greet(name):\n    return f'Hello, {name}!'\n"
    )
    up = start_up("shop.jobs", "--no-samples")
    up.wait_for(r"^Jobyard runs")
    broker = up.broker()
    broker.enqueue(Message("greetings", "greet", ("Ada",), {}, {}, "my-job"))
    up.wait_for(r'^completed +greetings +greet +my-job .*"Hello, Ada!"')
    broker.close()
    up.interrupt()
    assert up.wait() == 0


LONG_JOB = """
import time
import jobyard

@jobyard.actor(queue_name="long")
def wait_long():
    time.sleep(600)

@jobyard.actor(queue_name="long")
def wait_deaf():
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        try:
            time.sleep(1)
        except BaseException:
            pass
"""


def test_a_second_ctrl_c_gives_running_jobs_back(start_up: StartUp, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(LONG_JOB)
    up = start_up("slow", "--no-samples", "--processes", "1")
    up.wait_for(r"^Jobyard runs")
    broker = up.broker()
    broker.enqueue(Message("long", "wait_long", (), {}, {}, "my-job"))
    eventually(lambda: broker.inspector.stats("long").active == 1, 30)
    broker.close()

    up.interrupt()
    up.wait_for(r"^note +Stopping")
    up.interrupt()

    assert up.wait() == 0, up.said
    assert "accepted 1 = completed 0 + waiting 1; lost 0" in up.said


def test_a_third_ctrl_c_kills_what_does_not_stop(start_up: StartUp, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(LONG_JOB)
    up = start_up("slow", "--no-samples", "--processes", "1")
    up.wait_for(r"^Jobyard runs")
    broker = up.broker()
    broker.enqueue(Message("long", "wait_deaf", (), {}, {}, "my-job"))
    eventually(lambda: broker.inspector.stats("long").active == 1, 30)
    broker.close()
    children = up.children()

    for _ in range(3):
        up.interrupt()
        up.wait_for(r"^note +Stopping")

    assert up.wait() == 0, up.said
    assert re.search(r"accepted 1 = completed 0 \+ (active|waiting) 1; lost 0", up.said)
    # A worker whose supervisor was killed may be deaf to all but its own alarm, 30 s later.
    eventually(lambda: not any(map(is_alive, children)), 45, what="no child is left")


def test_on_a_terminal_it_draws_a_picture_and_ends_with_plain_words(tmp_path: Path) -> None:
    terminal, other_end = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    process = spawn(
        [sys.executable, "-m", "jobyard.cli", "up", "--once", "--port", "0"],
        cwd=tmp_path, env=variables, stdin=other_end, stdout=other_end, stderr=other_end,
    )  # fmt: skip
    os.close(other_end)
    shown = b""
    # When the other end is closed, Linux says EIO.
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65536):
            shown += data
    os.close(terminal)

    text = shown.decode(errors="replace")
    assert process.wait(10) == 0, text
    for words in ("Dead letters", "worker process", "Just now", "Ctrl-C", "image-slow-download", "downloading"):
        assert words in text, words
    assert "ended as intended" in text.rpartition("Stopped after")[2]


def test_the_dashboard_is_where_it_says(start_up: StartUp) -> None:
    up = start_up("--no-samples")
    url = up.wait_for(r"^  Dashboard and REST API +(http://\S+)")[1]

    assert b"Jobyard" in urllib3.request("GET", url, timeout=10).data
    stats = urllib3.request("GET", f"{url}/api/jobs/stats", timeout=10).json()
    assert stats == {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0}
    up.interrupt()
    assert up.wait() == 0


def test_a_job_that_was_not_meant_to_fail_fails_once(start_up: StartUp, tmp_path: Path) -> None:
    up = start_up("--no-samples")
    up.wait_for(r"^Jobyard runs")
    broker = up.broker()
    broker.enqueue(Message("greetings", "greet", (), {}, {}, "my-job"))
    broker.close()
    up.interrupt()
    assert up.wait() == 0
    (tmp_path / "broken.py").write_text(
        "import jobyard\n\n@jobyard.actor(queue_name='greetings')\ndef greet():\n"
        "    raise jobyard.PermanentError('no voice')\n"
    )

    once = start_up("broken", "--once", "--no-samples")

    assert once.wait() == 1, once.said
    assert "my-job is dead, and not completed (PermanentError: no voice)" in once.said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.such.module"], "there is no module 'no.such.module'"),
        (["--data", "/dev/null/x"], "can't be used"),
    ],
)
def test_what_can_not_work_is_said_before_anything_is_started(
    start_up: StartUp, arguments: list[str], message: str
) -> None:
    up = start_up(*arguments)

    assert up.wait() == 2
    assert message in up.said
    assert "Traceback" not in up.said


def test_one_directory_serves_one_at_a_time(start_up: StartUp) -> None:
    first = start_up("--no-samples")
    first.wait_for(r"^Jobyard runs")

    second = start_up("--no-samples")

    assert second.wait() == 2
    assert f"another `jobyard up` (process {first.process.pid}) uses" in second.said
    first.interrupt()
    assert first.wait() == 0


def socket_of(data: Path) -> Path:
    """Where Valkey listens."""
    configuration = (data / "valkey" / "valkey.conf").read_text()
    return Path(re.findall(r'^unixsocket "(.*)"$', configuration, re.MULTILINE)[0])


def test_a_directory_with_a_very_long_path_will_do(start_up: StartUp) -> None:
    """The path of a socket may have a hundred characters only."""
    data = "x" * 60 + "/" + "y" * 60
    up = start_up("--no-samples", "--data", data)
    up.wait_for(r"^Jobyard runs")
    socket = socket_of(up.directory / data)
    assert socket.exists()
    assert socket.parent.stat().st_mode & 0o077 == 0
    up.interrupt()
    assert up.wait() == 0
    assert not socket.parent.exists()


def test_nobody_else_can_look_into_it(start_up: StartUp, tmp_path: Path) -> None:
    up = start_up("--no-samples")
    up.wait_for(r"^Jobyard runs")
    data = tmp_path / ".jobyard"

    assert data.stat().st_mode & 0o077 == 0
    assert (data / "env").stat().st_mode & 0o077 == 0
    assert socket_of(data).stat().st_mode & 0o077 == 0
    up.interrupt()
    assert up.wait() == 0
