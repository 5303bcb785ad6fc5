"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(condition: Callable[[], Value], timeout: float = 10.0, *, what: str = "") -> Value:
    """Ask until `condition()` is true, and return what it returned.

    Args:
        timeout: seconds.
        what: what is waited for, for the error.

    Raises:
        AssertionError: it did not become true in time; shows its last value.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or condition.__name__} (last value: {value!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
