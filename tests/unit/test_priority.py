"""Priorities: integers from 0 to 100."""

from __future__ import annotations

import pytest

from jobyard.priority import Priority, by_name, clamp


def test_the_usual_levels_are_ordered_from_critical_to_low() -> None:
    assert [int(level) for level in sorted(Priority)] == [1, 2, 5, 10]
    assert Priority.CRITICAL < Priority.HIGH < Priority.NORMAL < Priority.LOW


@pytest.mark.parametrize(
    ("given", "expected"), [(-7, 0), (0, 0), (Priority.LOW, 10), (100, 100), (10**9, 100), (2.9, 2)]
)
def test_any_integer_is_brought_into_the_range(given: int, expected: int) -> None:
    assert clamp(given) == expected


@pytest.mark.parametrize(("given", "expected"), [("high", 2), (" Critical ", 1), (7, 7), (None, None)])
def test_levels_have_names(given: object, expected: object) -> None:
    assert by_name(given) == expected


@pytest.mark.parametrize("wrong", ["urgent", "", True])
def test_other_names_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="critical, high, normal, low"):
        by_name(wrong)
