"""Schedules to try things on, and strategies that make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from jobyard_operator.core.schedules.expressions import parse, parse_exclusion
from jobyard_operator.core.schedules.ticks import Calendar
from jobyard_operator.core.schedules.walls import Dst
from jobyard_operator.resources import JobSchedule

#: Clocks that jump by an hour and by half of one, at midnight, to the other hemisphere; and some that don't.
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "America/Santiago", "Asia/Kolkata",
    "Africa/Casablanca", "Etc/UTC",
)  # fmt: skip
UID = "6a8c4c1e-0000-4000-8000-000000000001"


def calendar(*schedules: str, where: str = "Etc/UTC", exclude: tuple[str, ...] = (), **more: Any) -> Calendar:
    """A calendar with these schedules."""
    dst = Dst(more.pop("run_after", True), more.pop("both", False))
    return Calendar(
        tuple(parse(text) for text in schedules),
        tuple(parse_exclusion(text) for text in exclude),
        ZoneInfo(where),
        dst,
        uid=UID,
        **more,
    )


def utc(text: str) -> datetime:
    """A time without zone, taken as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def job_schedule(status: dict[str, Any] | None = None, generation: int = 1, **spec: Any) -> JobSchedule:
    """A JobSchedule called nightly with these parts of the spec, in the resource's own spelling."""
    return JobSchedule.parse(
        {
            "metadata": {
                "name": "nightly",
                "namespace": "shop",
                "uid": UID,
                "generation": generation,
                "creationTimestamp": "2026-11-01T00:00:00Z",
            },
            "spec": {
                "schedules": ["0 2 * * *"],
                "queueRef": {"name": "reports"},
                "template": {"actor": "generate_report", "args": ["sales"]},
            }
            | spec,
            "status": status or {},
        }
    )


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    """One field of a cron expression."""
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.integers(1, high).map(lambda step: f"*/{step}")
    term = st.one_of(numbers.map(str), ranges)
    return st.one_of(st.just("*"), steps, term, st.lists(term, min_size=2, max_size=3).map(",".join))


#: Cron expressions with five fields. Some never come.
expressions = st.tuples(fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), fields(0, 6)).map(" ".join)
moments = st.integers(0, 86_400 * 7670).map(
    lambda seconds: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
zones = st.sampled_from(ZONES)
spans = st.integers(1, 86_400 * 40).map(lambda seconds: timedelta(seconds=seconds))
