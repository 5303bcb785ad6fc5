"""Loads by family and seed: when jobs come, and how long they run. None of them was looked at when the rules were written.

Each family draws its own parameters from the seed, so that a rule can't be tuned to one shape.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

#: Seconds that are simulated.
LENGTH: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job.

    Attributes:
        due: when it may start, in seconds from the beginning.
        sent: when it is handed in; earlier than `due` for a delayed job.
        takes: seconds that it runs.
    """

    due: float
    sent: float
    takes: float


def _poisson(chance: random.Random, rate: Callable[[float], float], highest: float) -> Iterator[float]:
    """Times of a Poisson process whose rate changes, by thinning."""
    now = 0.0
    while (now := now + chance.expovariate(highest)) < LENGTH:
        if chance.random() * highest < rate(now):
            yield now


def _lognormal(chance: random.Random, mean: float, spread: float) -> float:
    return chance.lognormvariate(math.log(mean) - spread**2 / 2, spread)


def waves(chance: random.Random) -> Iterator[Arrival]:
    """A load that rises and falls several times an hour."""
    base, period, mean = chance.uniform(2, 10), chance.uniform(600, 2400), chance.uniform(0.2, 2)
    for at in _poisson(chance, lambda now: base * (1 + math.sin(2 * math.pi * now / period)), 2 * base):
        yield Arrival(at, at, _lognormal(chance, mean, 0.5))


def bursts(chance: random.Random) -> Iterator[Arrival]:
    """Silence, and now and then hundreds of jobs within seconds."""
    mean, now = chance.uniform(0.3, 3), chance.uniform(60, 600)
    while now < LENGTH:
        for _ in range(int(_lognormal(chance, 400, 0.8))):
            at = now + chance.uniform(0, 5)
            yield Arrival(at, at, _lognormal(chance, mean, 0.4))
        now += chance.uniform(200, 1200)


def flash_crowd(chance: random.Random) -> Iterator[Arrival]:
    """A steady load that is suddenly many times as high, for some minutes."""
    base, factor, mean = chance.uniform(0.5, 3), chance.uniform(5, 15), chance.uniform(0.3, 1.5)
    begin = chance.uniform(900, 2400)
    end = begin + chance.uniform(120, 600)
    for at in _poisson(chance, lambda now: base * (factor if begin < now < end else 1), base * factor):
        yield Arrival(at, at, _lognormal(chance, mean, 0.5))


def on_and_off(chance: random.Random) -> Iterator[Arrival]:
    """Minutes of work, minutes of silence."""
    rate, mean, now = chance.uniform(3, 12), chance.uniform(0.3, 2), 0.0
    while now < LENGTH:
        end = now + chance.expovariate(1 / 240)
        while (now := now + chance.expovariate(rate)) < min(end, LENGTH):
            yield Arrival(now, now, _lognormal(chance, mean, 0.5))
        now += chance.expovariate(1 / 200)


def heavy_tail(chance: random.Random) -> Iterator[Arrival]:
    """Most jobs are short, and a few run for minutes."""
    rate, shape = chance.uniform(2, 6), chance.uniform(1.3, 1.8)
    for at in _poisson(chance, lambda _: rate, rate):
        yield Arrival(at, at, min(0.3 * chance.paretovariate(shape), 600.0))


def long_jobs(chance: random.Random) -> Iterator[Arrival]:
    """Jobs of minutes, in waves."""
    rate, period = chance.uniform(0.02, 0.08), chance.uniform(900, 2400)
    for at in _poisson(chance, lambda now: rate * 2 * ((now / period) % 1 < 0.5), 2 * rate):
        yield Arrival(at, at, chance.uniform(60, 480))


def lone_jobs(chance: random.Random) -> Iterator[Arrival]:
    """A single job now and then."""
    now = chance.uniform(60, 300)
    while now < LENGTH:
        yield Arrival(now, now, chance.uniform(1, 20))
        now += chance.uniform(150, 700)


def delayed(chance: random.Random) -> Iterator[Arrival]:
    """Jobs that were sent ahead of time and are due together, as reminders are."""
    mean, now = chance.uniform(0.2, 1.5), chance.uniform(200, 600)
    while now < LENGTH:
        for _ in range(int(_lognormal(chance, 200, 0.7))):
            due = now + chance.uniform(0, 10)
            yield Arrival(due, due - chance.uniform(60, 190), _lognormal(chance, mean, 0.4))
        now += chance.uniform(300, 900)


FAMILIES: Final[dict[str, Callable[[random.Random], Iterator[Arrival]]]] = {
    family.__name__: family
    for family in (waves, bursts, flash_crowd, on_and_off, heavy_tail, long_jobs, lone_jobs, delayed)
}


def load(family: str, seed: int) -> list[Arrival]:
    """The jobs of a family, by the time at which they are handed in. The same seed gives the same jobs."""
    return sorted(FAMILIES[family](random.Random(f"{family}/{seed}")), key=lambda job: (job.sent, job.due))
