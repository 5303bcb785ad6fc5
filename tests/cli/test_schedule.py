"""`jobyard schedule`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.schedules.calendars import UID, job_schedule

from jobyard.broker import JobyardBroker
from jobyard_operator.core.schedules import Enqueue, Tick
from jobyard_operator.core.schedules.ticks import at
from jobyard_operator.redis.schedules import apply

Run = Callable[..., Any]


@pytest.fixture
def planned(broker: JobyardBroker) -> list[Tick]:
    """The schedule shop/nightly has a job that is due, and one that is planned."""
    now = at(broker.inspector.stats("reports").now)
    ticks = [Tick(now + timedelta(hours=hour), now + timedelta(hours=hour)) for hour in (-1, 1)]
    apply(broker, "reports", 1, job_schedule(), [Enqueue(tick) for tick in ticks])
    return ticks


def preview(jobyard: Run, *words: str) -> list[str]:
    said = jobyard("schedule", "preview", *words)
    assert said.status == 0, said.err
    lines: list[str] = said.out.splitlines()[1:]
    return lines


def test_preview_tells_what_the_spring_does(jobyard: Run) -> None:
    lines = preview(
        jobyard, "30 2 * * *", "--time-zone", "Europe/Berlin", "--from", "2026-03-28T00:00:00Z", "--count", "3"
    )
    assert lines[1].startswith("Sun 2026-03-29 03:00:00 CEST  2026-03-29 01:00:00  1d 1h")
    assert "02:30 is skipped on this day: the clocks go from 02:00 to 03:00; it runs once, then" in lines[1]
    assert lines[2].startswith("Mon 2026-03-30 02:30:00 CEST")
    assert not lines[0].endswith("then")


def test_preview_tells_what_the_autumn_does(jobyard: Run) -> None:
    words = ("30 2 * * *", "-z", "Europe/Berlin", "--from", "2026-10-24T12:00:00Z", "-n", "2")
    lines = preview(jobyard, *words)
    assert "02:30 comes twice on this day; it runs the first time" in lines[0]
    assert lines[1].startswith("Mon 2026-10-26")
    both = preview(jobyard, *words, "--overlap", "Both")
    assert "this is the first time" in both[0]
    assert "this is the second time" in both[1]
    assert both[1].startswith("Sun 2026-10-25 02:30:00 CET ")


def test_preview_of_several_times_that_are_skipped(jobyard: Run) -> None:
    [line] = preview(
        jobyard, "*/10 2 29 3 *", "0,30 2 29 3 *", "-z", "Europe/Berlin", "--from", "2026-03-28T00:00:00Z", "-n", "1"
    )
    assert "02:00 and 02:30 are skipped" in line
    skip = preview(
        jobyard, "0,30 2 29 3 *", "-z", "Europe/Berlin", "--from", "2026-03-28T00:00:00Z", "-n", "1", "--gap", "Skip"
    )
    assert skip[0].startswith("Mon 2027-03-29 02:00:00")


def test_preview_for_programs(jobyard: Run) -> None:
    said = jobyard(
        "schedule", "preview", "@every 6h", "--from", "2026-01-01T00:00:00Z", "-n", "1", "--jitter", "1h", "-o", "json"
    )
    [tick] = said.json
    assert tick["nominal_time"] == "2026-01-01T06:00:00.000Z"
    assert tick["nominal_time"] <= tick["due_time"] < "2026-01-01T07"


def test_preview_of_what_never_comes_again(jobyard: Run) -> None:
    said = jobyard("schedule", "preview", "2020-01-01T00:00:00Z")
    assert (said.status, said.out, said.err) == (0, "", "It never fires again.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["0 0 31 2 *"], "'0 0 31 2 *' never comes: Feb has no day 31"),
        (["61 * * * *"], "'61' is no minute: allowed are 0 to 59"),
        (["* * *"], "has 3 fields"),
        (["@reboot"], "nothing reboots"),
        (["0 0 * * *", "-z", "Berlin"], "'Berlin' is no time zone"),
        (["0 0 * * *", "--from", "tomorrow"], "'tomorrow' is no time"),
        (["0 0 * * *", "--exclude", "@every 5m"], "can't be excluded"),
        (["* * * * *", "--exclude", "* * * * *"], "exclude takes away 200,000 times in a row"),
        (["0 0 * * *", "--gap", "Never"], "--gap is RunAfter or Skip"),
    ],
)
def test_preview_says_what_is_wrong(jobyard: Run, words: list[str], sentence: str) -> None:
    said = jobyard("schedule", "preview", *words)
    assert said.status == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_schedules_are_listed(jobyard: Run, planned: list[Tick]) -> None:
    out = jobyard("schedule", "list").out
    assert "shop/nightly" in out
    assert "0 2 * * *" in out
    assert "1h ago" in out
    [one] = jobyard("schedule", "list", "--queue", "reports", "-o", "json").json
    assert (one["name"], one["namespace"], one["uid"], one["actor"]) == ("nightly", "shop", UID, "generate_report")
    assert [run["state"] for run in one["runs"]] == ["waiting", "planned"]


def test_one_schedule_is_shown(jobyard: Run, planned: list[Tick]) -> None:
    for name in ("nightly", "shop/nightly", UID):
        assert "Planned" in jobyard("schedule", "show", name).out
    assert len(jobyard("schedule", "show", "nightly", "-n", "1", "-o", "json").json["runs"]) == 1
    said = jobyard("schedule", "show", "weekly")
    assert (said.status, "kubectl get jobschedules" in said.err) == (4, True)


def test_running_one_is_kubernetes_business(jobyard: Run, planned: list[Tick]) -> None:
    said = jobyard("schedule", "run", "nightly")
    assert said.status == 1
    assert "kubectl annotate jobschedule nightly -n shop jobyard.dev/run-now=" in said.err


def test_where_there_is_none(jobyard: Run) -> None:
    assert "kubectl get jobschedules" in jobyard("schedule", "list").err
