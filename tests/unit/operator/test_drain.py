"""Which pods go when replicas go down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobyard_operator.core.drain import LEAVING, Mark, Pod, Scale, scale_plan

pods = st.builds(
    Pod,
    name=st.text("abcdef", min_size=3, max_size=6),
    running=st.none() | st.integers(0, 8),
    ready=st.booleans(),
    created=st.floats(0, 100),
    cost=st.sampled_from([-100, 0, 1]),
)
fleets = st.lists(pods, max_size=12, unique_by=lambda pod: pod.name)


def removed(fleet: list[Pod], count: int) -> list[Pod]:
    """Those that a ReplicaSet removes: what doesn't serve first, then by cost, then the youngest."""
    return sorted(fleet, key=lambda pod: (pod.ready, pod.cost, -pod.created))[:count]


@given(fleets, st.integers(0, 4), st.integers(0, 16))
def test_no_busy_pod_is_ever_removed(fleet: list[Pod], absent: int, desired: int) -> None:
    replicas = len(fleet) + absent
    plan = scale_plan(fleet, replicas, desired)
    costs = {effect.pod: effect.cost for effect in plan if isinstance(effect, Mark)}
    after = [Pod(pod.name, pod.running, pod.ready, pod.created, costs.get(pod.name, pod.cost)) for pod in fleet]
    final = next((effect.replicas for effect in plan if isinstance(effect, Scale)), replicas)
    for pod in removed(after, len(fleet) - final if final < len(fleet) else 0):
        assert not pod.ready or pod.running == 0


@given(fleets, st.integers(0, 16))
def test_marks_come_before_the_number_and_only_where_they_change(fleet: list[Pod], desired: int) -> None:
    plan = scale_plan(fleet, len(fleet), desired)
    assert all(isinstance(effect, Mark) for effect in plan[:-1])
    assert not plan or isinstance(plan[-1], Scale)
    before = {pod.name: pod.cost for pod in fleet}
    assert all(before[effect.pod] != effect.cost for effect in plan if isinstance(effect, Mark))


def test_idle_ones_are_marked_and_the_youngest_go_first() -> None:
    fleet = [Pod("old", 0, True, created=1), Pod("young", 0, True, created=2), Pod("busy", 3, True, created=3)]
    assert scale_plan(fleet, 3, 2) == [Mark("busy", 1), Mark("young", LEAVING), Scale(2, 3)]


def test_only_so_far_down_as_there_are_idle_ones() -> None:
    fleet = [Pod("busy", 1, True), Pod("silent", None, True), Pod("idle", 0, True)]
    assert scale_plan(fleet, 3, 0)[-1] == Scale(2, 3)
    assert scale_plan(fleet[:2], 2, 0) == []


def test_a_pod_that_was_spared_loses_its_mark() -> None:
    fleet = [Pod("spared", 2, True, cost=LEAVING), Pod("idle", 0, True)]
    assert Mark("spared", 1) in scale_plan(fleet, 2, 1)


def test_up_marks_nothing() -> None:
    assert scale_plan([Pod("one", 1, True)], 1, 5) == [Scale(5, 1)]
    assert scale_plan([Pod("one", 1, True)], 1, 1) == []
