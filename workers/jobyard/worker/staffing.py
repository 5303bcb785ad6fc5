"""Which processes to start and which to drain, so that there are always as many as wanted. Pure: values in, a value out.

A process that shall go (it has run enough jobs, it has grown too large, or there is new code) is drained when its successor is
ready and not before, one after another: the number of processes that serve never falls below what is wanted, and at most one
more than wanted is starting at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Member:
    """A process that serves or will serve; one that drains is no member any more.

    Attributes:
        key: names it.
        ready: it serves.
        leaving: it shall be replaced.
    """

    key: int
    ready: bool
    leaving: bool


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do now: how many to start, and whom to drain."""

    start: int = 0
    drain: list[int] = field(default_factory=list)


def orders(members: Sequence[Member], wanted: int) -> Orders:
    """What to do, with these members.

    Args:
        members: oldest first.
        wanted: how many shall serve.
    """
    if len(members) < wanted:
        return Orders(start=wanted - len(members))
    leaving = [one for one in members if one.leaving]
    if not leaving:
        return Orders()
    if len(members) > wanted:
        ready = sum(one.ready for one in members)
        # One that isn't ready serves nobody: it can go as soon as there is a successor in its place.
        idle = [one for one in leaving if not one.ready]
        if idle:
            return Orders(drain=[idle[0].key])
        return Orders(drain=[leaving[0].key]) if ready > wanted else Orders()
    return Orders(start=1)
