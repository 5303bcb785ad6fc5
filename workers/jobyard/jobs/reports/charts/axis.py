"""The ticks of an axis: round numbers that cover the values. Pure."""

from __future__ import annotations

import math


def ticks(highest: float, wanted: int = 4) -> list[float]:
    """Round numbers from 0 upwards, the last at or above `highest`.

    There are about `wanted` steps, each 1, 2, 2.5 or 5 times a power of ten.
    """
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [number * step for number in range(math.ceil(highest / step * 0.999999) + 1)]


def spread(count: int, most: int) -> list[int]:
    """At most `most` of the indexes below `count`, evenly apart, the first among them."""
    step = max(1, math.ceil(count / max(1, most)))
    return list(range(0, count, step))
