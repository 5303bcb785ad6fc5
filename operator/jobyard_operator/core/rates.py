"""Averages that forget: by time for what arrives, by count for how long it takes; and the highest value of a window."""

from __future__ import annotations

import math

#: A sliding maximum: (time, value), values falling. Only those that can still become the maximum are kept.
Peaks = tuple[tuple[float, int], ...]


def decayed(average: float, sample: float, elapsed: float, half_life: float) -> float:
    """The average after `elapsed` seconds during which it was `sample`; both in the same unit."""
    kept = math.exp2(-max(elapsed, 0.0) / half_life)
    return average * kept + sample * (1 - kept)


def averaged(average: float | None, sample: float, count: int, half_life: float) -> float:
    """The average after `count` more samples with the mean `sample`; half of it is the last `half_life` samples."""
    return sample if average is None else decayed(average, sample, count, half_life)


def with_peak(peaks: Peaks, now: float, value: int, window: float) -> Peaks:
    """The sliding maximum with one value more, without those older than the window. Its first value is the maximum.

    Times are rounded up to a 64th of the window, so that a load that falls for hours leaves 65 values and not thousands.
    """
    step = window / 64
    time = math.ceil(now / step) * step if step else now
    kept = tuple(peak for peak in peaks if peak[0] > now - window and peak[1] > value)
    return kept if kept and kept[-1][0] >= time else (*kept, (time, value))


def highest(peaks: Peaks, now: float, window: float) -> int:
    """The highest value of the last `window` seconds; 0 without any."""
    return max((value for time, value in peaks if time >= now - window), default=0)
