"""What the terminal is told: which jobs have ended, in which words, and that no job can play tricks on it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Job
from jobyard_operator.local import wording
from jobyard_operator.local.endings import Ending, Endings
from jobyard_operator.local.ledger import Ledger
from jobyard_operator.local.plain import Plain
from jobyard_operator.local.screen import Screen
from jobyard_operator.local.view import View
from jobyard_operator.local.yard import Places
from support.servers import Kind
from support.waiting import eventually


@pytest.fixture
def server_kind() -> Kind:
    return "valkey"


# Endings ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def actor(broker: JobyardBroker) -> jobyard.JobyardActor:
    @jobyard.actor(broker=broker, retry=jobyard.RetryPolicy(attempts=2, initial=0.05))
    def do(what: str) -> str:
        job = jobyard.current_job()
        assert job is not None
        if what == "fail" or (what == "stumble" and job.attempt == 1):
            raise RuntimeError(f"can't {what}")
        return what

    return do


def gather(endings: Endings, count: int) -> list[Ending]:
    """All news until so many jobs have ended."""
    found: list[Ending] = []

    def enough() -> bool:
        news = endings.look()
        assert news.unread == 0
        found.extend(news.endings)
        return sum(one.kind != "failed" for one in found) >= count

    eventually(enough, what=f"{count} jobs have ended")
    return found


def test_each_ending_is_told_once(
    broker: JobyardBroker, actor: jobyard.JobyardActor, start_worker: Callable[..., Any]
) -> None:
    endings = Endings(broker)
    assert endings.look().endings == []
    ids = {what: actor.send(what).message_id for what in ("work", "fail", "stumble")}
    unwanted = actor.send_with_options(args=("late",), delay=60_000).message_id
    broker.cancel(unwanted)
    start_worker()

    found = gather(endings, 4)

    assert sorted((one.kind, one.job.id) for one in found if one.kind != "failed") == sorted(
        [("completed", ids["work"]), ("dead", ids["fail"]), ("completed", ids["stumble"]), ("cancelled", unwanted)]
    )
    # A retry that comes at once may be over before one looks.
    assert {one.job.id for one in found if one.kind == "failed"} <= {ids["fail"], ids["stumble"]}
    assert endings.look().endings == []


def test_what_ended_before_the_first_look_is_no_news(
    broker: JobyardBroker, actor: jobyard.JobyardActor, start_worker: Callable[..., Any]
) -> None:
    start_worker()
    old = actor.send("work").message_id
    eventually(lambda: broker.inspector.job(old).state == "completed")
    endings = Endings(broker)
    endings.look()

    new = actor.send("work").message_id

    assert [one.job.id for one in gather(endings, 1)] == [new]


def test_a_dead_letter_that_dies_again_is_news_again(
    broker: JobyardBroker, actor: jobyard.JobyardActor, start_worker: Callable[..., Any]
) -> None:
    endings = Endings(broker)
    endings.look()
    start_worker()
    job_id = actor.send("fail").message_id
    gather(endings, 1)

    broker.dead_letters.retry("default", [job_id])

    assert [(one.kind, one.job.id) for one in gather(endings, 1) if one.kind == "dead"] == [("dead", job_id)]


def test_of_very_many_endings_the_others_are_counted(
    broker: JobyardBroker, actor: jobyard.JobyardActor, start_worker: Callable[..., Any]
) -> None:
    endings = Endings(broker)
    endings.look()
    broker.enqueue_many(actor.message("work") for _ in range(250))
    worker = start_worker()
    broker.join("default", timeout=20_000)
    worker.stop()

    news = endings.look()

    assert len(news.endings) + news.unread == 250
    assert len(news.endings) == 100


# Words -----------------------------------------------------------------------------------------------------------------


def job(**changed: Any) -> Job:
    usual: dict[str, Any] = {
        "id": "job-1", "queue": "emails", "state": "completed", "actor": "send_email", "args": (), "kwargs": {},
        "options": {}, "priority": 5, "attempts": 1, "started_at": 1000, "ended_at": 1086,
    }  # fmt: skip
    return Job(**{**usual, **changed})


def told(result: Any = None, kind: Any = "completed", **changed: Any) -> str:
    encoded = None if result is None else json.dumps(result).encode()
    return wording.result(Ending(kind, job(encoded_result=encoded, **changed), 1086), lambda _: None)


def test_results_are_told_in_words(tmp_path: Path) -> None:
    url = (tmp_path / "a b.webp").as_uri()
    assert told({"url": url, "bytes": 12_345, "width": 3, "height": 2}) == f"3×2, 12.3 kB → {tmp_path}/a b.webp"
    assert told({"url": "s3://bucket/x.csv", "bytes": 7, "rows": 1200}) == "1,200 rows, 7 bytes → s3://bucket/x.csv"
    assert told({"message_id": "<1@x>", "accepted": ["ada@example.org"]}) == "to ada@example.org"
    assert told({"anything": [1, "ä"]}) == '{"anything": [1, "ä"]}'
    assert told() == "done"
    assert told("x", attempts=3) == 'in attempt 3: "x"'
    assert told(kind="cancelled") == "cancelled"
    error = {"attempt": 1, "error": "OSError", "message": "no paper"}
    assert told(kind="dead", errors=[error]) == "OSError: no paper"
    assert told(kind="failed", errors=[error]) == "attempt 1: OSError: no paper"


def test_a_path_is_told_from_where_one_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert wording.near(tmp_path / "storage" / "x") == "storage/x"
    assert wording.near(Path("/elsewhere/x")) == "/elsewhere/x"


HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nnext\x9b31m\u202ereversed" + "x" * 5000


def test_no_job_can_send_control_characters_to_the_terminal() -> None:
    output = io.StringIO()
    plain = Plain(output)
    error = {"attempt": 1, "error": HOSTILE, "message": HOSTILE}
    for one in (
        job(id=HOSTILE, actor=HOSTILE, encoded_result=json.dumps(HOSTILE).encode()),
        job(id=HOSTILE, errors=[error], state="dead"),
    ):
        ending = Ending("dead" if one.state == "dead" else "completed", one, 1086)
        plain.ended(ending, wording.result(ending, lambda _: None))
    running = job(id=HOSTILE, state="active", progress={"percent": 5, "message": HOSTILE})
    plain.look(View([], [], [running]))

    lines = output.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 1000 for line in lines)


def test_a_ledger_is_told_in_one_sentence() -> None:
    assert str(Ledger(accepted=21, completed=20, dead=1)) == "accepted 21 = completed 20 + dead letters 1; lost 0"
    assert str(Ledger()) == "accepted 0 = completed 0; lost 0"
    full = Ledger(36, 1, 2, 3, 4, 5, 6, 7, 8)
    assert str(full) == (
        "accepted 36 = completed 1 + dead letters 3 + waiting 5 + delayed 6 + active 7 + cancelled 2 + discarded 4; lost 8"
    )


# The screen ------------------------------------------------------------------------------------------------------------


def test_the_screen_shows_queues_running_jobs_and_what_has_ended(broker: JobyardBroker) -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output, force_terminal=True, width=120, height=40))
    from dramatiq import Message

    broker.enqueue(Message("emails", "nobody", (), {}, {}, "1"))
    screen.ready(Places(dashboard="http://127.0.0.1:8080", wanted_port=8080, mail=Path("mail")), 21)
    ending = Ending("completed", job(), 1086)
    screen.ended(ending, "to ada@example.org")
    screen.event("Valkey died (SIGKILL); started again")
    running = job(id="job-2", state="active", progress={"percent": 40, "message": "counting"})
    screen.look(View([broker.inspector.stats("emails")], [], [running]))
    screen.close()

    shown = output.getvalue()
    for text in (
        "emails",
        "job-1",
        "86 ms",
        "to ada@example.org",
        "Valkey died",
        "40 % counting",
        "http://127.0.0.1:8080",
    ):
        assert text in shown, text


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 24), (200, 60)])
def test_the_screen_fits_any_terminal(broker: JobyardBroker, width: int, height: int) -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output, force_terminal=True, width=width, height=height))
    screen.ready(Places(), 0)
    for _ in range(200):
        screen.event("something " * 50)
    screen.close()
    assert output.getvalue()
