"""A sorted set as Redis has it: members with scores, in the order of the scores, then of the members."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import itemgetter

_score = itemgetter(0)
_member = itemgetter(1)

Row = tuple[float, bytes]


class SortedSet:
    """Attributes: `rows` in order (don't change them), `scores` by member."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.scores: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, member: bytes, score: float) -> bool:
        """Add a member, or give it another score. Returns whether it is new."""
        new = not self.remove(member)
        insort(self.rows, (score, member))
        self.scores[member] = score
        return new

    def remove(self, member: bytes) -> bool:
        """Returns whether it was there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.rows[bisect_left(self.rows, (score, member))]
        return True

    def rank(self, member: bytes) -> int | None:
        """How many come before it; None: it isn't there."""
        score = self.scores.get(member)
        return None if score is None else bisect_left(self.rows, (score, member))

    def by_rank(self, first: int, last: int) -> list[Row]:
        """From one rank to another, which is included; negative ones are counted from the end."""
        size = len(self.rows)
        first = max(0, first + size if first < 0 else first)
        last = last + size if last < 0 else last
        return self.rows[first : last + 1] if last >= first else []

    def by_score(self, low: bytes, high: bytes) -> list[Row]:
        """From one score to another, as Redis writes them: `5`, `(5`, `-inf`."""
        start, stop = (
            (bisect_right if low[:1] == b"(" else bisect_left),
            (bisect_left if high[:1] == b"(" else bisect_right),
        )
        first = start(self.rows, float(low.lstrip(b"(")), key=_score)
        return self.rows[first : stop(self.rows, float(high.lstrip(b"(")), key=_score)]

    def by_member(self, low: bytes, high: bytes) -> list[Row]:
        """From one member to another, as Redis writes them: `[a`, `(b`, `-`, `+`. All scores must be the same."""
        if low == b"+" or high == b"-":
            return []  # After all members, or before them.
        first, last = 0, len(self.rows)
        if low != b"-":
            first = (bisect_right if low[:1] == b"(" else bisect_left)(self.rows, low[1:], key=_member)
        if high != b"+":
            last = (bisect_left if high[:1] == b"(" else bisect_right)(self.rows, high[1:], key=_member)
        return self.rows[first:last]
