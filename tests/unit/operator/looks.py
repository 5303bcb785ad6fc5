"""What the autoscaler may see: strategies for hypothesis, and a queue's pods that follow its decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st

from jobyard_operator.core.observation import Decision, Memory, Observation, Rules
from jobyard_operator.core.scaling import decide

counts = st.integers(0, 5000)
seconds = st.floats(0, 10_000)


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Rules under which the autoscaler decides by itself."""
    least = draw(st.integers(0, 20))
    return Rules(
        threads=draw(st.integers(1, 64)),
        min=least,
        max=draw(st.integers(max(least, 1), 200)),
        target_wait=draw(st.integers(1, 600)),
        utilization=draw(st.integers(10, 100)) / 100,
        jobs_per_replica=draw(st.integers(1, 500)),
        idle_timeout=draw(st.integers(0, 600)),
        stabilization=draw(st.integers(0, 600)),
        up_pods=draw(st.integers(1, 20)),
        up_percent=draw(st.integers(1, 400)),
        down_percent=draw(st.integers(1, 100)),
        rate=draw(st.none() | st.floats(0.01, 1000)),
        concurrency=draw(st.none() | st.integers(1, 500)),
    )


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """A look at a queue that Redis answered."""
    ready, starting = draw(st.integers(0, 100)), draw(st.integers(0, 50))
    return Observation(
        now=draw(st.floats(1e6, 1e6 + 1000)),
        waiting=draw(counts),
        active=draw(counts),
        orphaned=draw(st.integers(0, 50)),
        parked=draw(st.integers(0, 50)),
        delayed=draw(counts),
        due_soon=draw(st.integers(0, 50)),
        next_due=draw(st.none() | seconds),
        next_tick=draw(st.none() | seconds),
        oldest=draw(seconds),
        ended=draw(counts),
        service=draw(st.none() | st.floats(0.001, 600)),
        running=draw(seconds),
        replicas=ready + starting,
        ready=ready,
        starting=starting,
        idle=draw(st.none() | st.integers(0, ready)),
        cold_start=draw(st.none() | st.floats(0, 300)),
    )


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    """What may be remembered: what came of deciding about some looks."""
    memory = Memory()
    given = draw(rules())
    for number, look in enumerate(draw(st.lists(observations(), max_size=4))):
        memory = decide(given, replace(look, now=999_000.0 + 7 * number), memory).memory
    return memory


def follow(
    given: Rules, looks: Iterator[Observation], *, replicas: int = 0, memory: Memory | None = None
) -> Iterator[tuple[Observation, Decision]]:
    """Decisions about a queue whose pods are there at once; the busy ones are as few as can be."""
    memory = memory or Memory()
    for look in looks:
        busy = min(replicas, -(-look.active // given.threads))
        now = replace(look, replicas=replicas, ready=replicas, idle=replicas - busy)
        decision = decide(given, now, memory)
        yield now, decision
        memory = decision.memory
        if decision.desired is not None:
            replicas = decision.desired
