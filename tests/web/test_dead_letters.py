"""`/api/dead-letters`: searching, retrying and discarding many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from web.conftest import Client

Bury = Callable[..., list[str]]


def found(web: Client, query: str) -> list[str]:
    answer = web.get(f"/api/dead-letters?{query}")
    assert answer.status == 200, answer.json
    return [job["job_id"] for job in answer.json["jobs"]]


def test_dead_letters_are_found_by_queue_actor_and_error(web: Client, bury: Bury) -> None:
    paper = bury("reports", "no paper", actor_name="print_report")
    ink = bury("reports", "no ink", actor_name="draw_chart")
    mail = bury("emails", "no paper", actor_name="send")

    assert found(web, "queue=reports") == ink + paper
    assert found(web, "actor=send") == mail
    assert found(web, "error=PermanentError") == mail + ink + paper
    assert found(web, "error=no+paper") == mail + paper
    assert found(web, "error=no+paper&queue=reports&actor=print_report") == paper
    assert found(web, "error=PAPER") == []
    assert found(web, "older_than=3600") == []
    assert found(web, "older_than=0&queue=emails") == mail
    assert found(web, "actor=&error=") == mail + ink + paper


def test_what_is_found_comes_in_pages(web: Client, bury: Bury) -> None:
    wanted = bury("reports", "no paper", 5)
    bury("reports", "no ink", 5)

    first = web.get("/api/dead-letters?error=paper&limit=3").json
    second = web.get(f"/api/dead-letters?error=paper&limit=3&cursor={first['next_cursor']}").json

    assert (len(first["jobs"]), len(second["jobs"])) == (3, 2)
    assert {job["job_id"] for job in first["jobs"] + second["jobs"]} == set(wanted)
    assert second["next_cursor"] is None


def test_a_search_that_finds_little_gives_up_in_time_and_says_where_to_go_on(
    web: Client, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.web.desk._MOST_SEARCHED", 4)
    monkeypatch.setattr("jobyard.web.desk._SEARCHED_AT_ONCE", 2)
    needle = bury("reports", "needle")
    bury("reports", "hay", 6)

    first = web.get("/api/dead-letters?error=needle").json
    assert first["jobs"] == []
    assert found(web, f"error=needle&cursor={first['next_cursor']}") == needle


@pytest.mark.parametrize(
    ("body", "changed", "left"),
    [
        ({"all": True}, 5, 0),
        ({"queue": "reports"}, 3, 2),
        ({"error": "no ink"}, 2, 3),
        ({"error": "no ink", "queue": "reports"}, 0, 5),
        ({"actor": "fails_reports"}, 3, 2),
        ({"queue": "reports", "older_than": 3600}, 0, 5),
    ],
)
@pytest.mark.parametrize("what", ["retry", "discard"])
def test_all_that_fit_are_retried_or_discarded(
    web: Client, bury: Bury, what: str, body: dict[str, object], changed: int, left: int
) -> None:
    bury("reports", "no paper", 3)
    bury("emails", "no ink", 2)

    assert web.post(f"/api/dead-letters/{what}", body).json == {"changed": changed}

    stats = web.get("/api/jobs/stats").json
    assert (stats["failed"], stats["waiting"]) == (left, changed if what == "retry" else 0)


def test_some_are_named_by_their_ids(web: Client, bury: Bury) -> None:
    ids = bury("reports", "no paper", 3)

    answer = web.post("/api/dead-letters/discard", {"queue": "reports", "ids": [ids[0], ids[2], "unknown"]})

    assert answer.json == {"changed": 2}
    assert found(web, "queue=reports") == [ids[1]]


def test_retries_can_be_spread_over_time(web: Client, bury: Bury) -> None:
    bury("reports", "no paper", 3)

    assert web.post("/api/dead-letters/retry", {"queue": "reports", "rate": 0.01}).json == {"changed": 3}

    stats = web.get("/api/jobs/stats").json
    assert (stats["waiting"], stats["delayed"]) == (1, 2)


@pytest.mark.parametrize("what", ["retry", "discard"])
def test_a_forgotten_body_changes_nothing(web: Client, bury: Bury, broker: JobyardBroker, what: str) -> None:
    bury("reports", "no paper")

    for answer in (web.ask("POST", f"/api/dead-letters/{what}"), web.post(f"/api/dead-letters/{what}", {})):
        assert answer.status == 422
    assert broker.inspector.stats("reports").dead == 1


def test_discarded_ones_are_counted(web: Client, bury: Bury, broker: JobyardBroker) -> None:
    bury("reports", "no paper", 2)
    web.post("/api/dead-letters/discard", {"all": True})

    queue = web.get("/api/queues/reports").json
    assert (queue["discarded"], queue["failed"], queue["lost"]) == (2, 0, 0)
