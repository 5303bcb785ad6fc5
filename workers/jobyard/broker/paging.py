"""Long lists in pieces that one script call can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, `size` at a time."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def pages_by_weight(
    items: Sequence[Item], size: int, weights: Sequence[int], heaviest: int
) -> Iterator[Sequence[Item]]:
    """The same, but no page is heavier than `heaviest`, unless it is a single item."""
    if sum(weights) <= heaviest:
        yield from pages(items, size)
        return
    first = total = 0
    for at, own in enumerate(weights):
        if at > first and (at - first == size or total + own > heaviest):
            yield items[first:at]
            first, total = at, 0
        total += own
    if first < len(items):
        yield items[first:]
