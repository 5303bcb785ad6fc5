"""Lengths of time as people write them: `90s`, `5m`, `1h30m`, `7d`."""

from __future__ import annotations

import re
from typing import Final

#: Milliseconds in each unit, the longest first.
_UNITS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_LONGEST: Final = 20 * 366 * _UNITS["d"]
_whole: Final = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,6})?(?:ms|w|d|h|m|s))+")
_part: Final = re.compile(r"([0-9.]+)(ms|w|d|h|m|s)")


def parse_duration(text: str) -> int:
    """Milliseconds in `250ms`, `90s`, `5m`, `2h`, `7d`, `2w`, or several of them: `1h30m`.

    Raises:
        ValueError: it is nothing of the kind. A number without a unit is refused, since it may be meant in any.
    """
    text = text.strip().lower()
    if not _whole.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no length of time: write 90s, 5m, 2h, 7d or 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in _part.findall(text))
    if total > _LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than 20 years")
    return round(total)


def say_duration(milliseconds: float) -> str:
    """For people, with the two largest units that matter: `250ms`, `42s`, `5m 3s`, `2h 10m`, `7d`."""
    left = round(max(0.0, milliseconds))
    if left < 1000:
        return f"{left}ms"
    left -= left % 1000
    words: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(left, _UNITS[unit])
        if count:
            words.append(f"{count}{unit}")
            left = rest
        elif words:
            break
        if len(words) == 2:
            break
    return " ".join(words)
