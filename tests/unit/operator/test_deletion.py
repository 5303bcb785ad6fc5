"""How long a JobQueue whose jobs shall be discarded waits for its Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobyard_operator.control.deletion import PATIENCE, overdue


def test_it_waits_for_minutes_and_not_for_ever() -> None:
    deleted = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    said = "2026-11-24T12:00:00Z"
    assert not overdue(said, deleted)
    assert not overdue(said, deleted + timedelta(seconds=PATIENCE - 1))
    assert overdue(said, deleted + timedelta(seconds=PATIENCE + 1))
