"""What holds for every decision, whatever the autoscaler sees and remembers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.looks import memories, observations, rules

from jobyard_operator.core.decision_log import line, replay
from jobyard_operator.core.observation import Memory, Observation, Rules
from jobyard_operator.core.scaling import decide, horizon


def desired(given_rules: Rules, look: Observation, memory: Memory) -> int:
    number = decide(given_rules, look, memory).desired
    assert number is not None
    return number


@given(rules(), observations(), memories())
def test_the_number_stays_between_min_and_max(given_rules: Rules, look: Observation, memory: Memory) -> None:
    # What is there already may be more than max: busy pods are not ended for a number.
    assert given_rules.min <= desired(given_rules, look, memory) <= max(given_rules.max, look.replicas)


@given(rules(), observations(), memories(), st.integers(1, 5000))
def test_a_longer_backlog_never_means_fewer(given_rules: Rules, look: Observation, memory: Memory, more: int) -> None:
    longer = replace(look, waiting=look.waiting + more)
    assert desired(given_rules, longer, memory) >= desired(given_rules, look, memory)


@given(rules(), observations(), memories(), st.floats(0, 1000))
def test_an_older_backlog_never_means_fewer(given_rules: Rules, look: Observation, memory: Memory, more: float) -> None:
    assert desired(given_rules, replace(look, oldest=look.oldest + more), memory) >= desired(given_rules, look, memory)


@given(rules(), observations(), memories())
def test_never_zero_while_anything_is_there_or_due(given_rules: Rules, look: Observation, memory: Memory) -> None:
    soon = horizon(look)
    due = [time for time in (look.next_due, look.next_tick) if time is not None and time <= soon]
    if look.waiting or look.active or look.orphaned or look.parked or look.due_soon or due:
        assert desired(given_rules, look, memory) >= 1


@given(rules(), observations(), memories())
def test_on_the_way_down_no_busy_pod_is_ended(given_rules: Rules, look: Observation, memory: Memory) -> None:
    number = desired(given_rules, look, memory)
    if number < look.replicas:
        idle = max(0, look.ready - look.active) if look.idle is None else look.idle
        assert look.replicas - number <= idle + look.starting
        assert number >= min(look.replicas, math.ceil(look.active / given_rules.threads))


@given(rules(), observations(), memories())
def test_the_same_holds_while_paused(given_rules: Rules, look: Observation, memory: Memory) -> None:
    number = desired(replace(given_rules, paused=True), look, memory)
    assert given_rules.min <= number <= max(given_rules.min, look.replicas)
    assert number >= min(look.replicas, math.ceil(look.active / given_rules.threads))


@given(rules(), observations(), memories(), st.floats(0, 10_000))
def test_nothing_is_removed_while_redis_is_away(
    given_rules: Rules, look: Observation, memory: Memory, later: float
) -> None:
    blind = replace(look, error="Connection refused")
    first = decide(given_rules, blind, memory)
    second = decide(given_rules, replace(blind, now=blind.now + later), first.memory)
    assert first.desired == second.desired == max(look.replicas, given_rules.min)


@given(rules(), observations(), memories(), st.none() | st.integers(0, 200), st.booleans())
def test_who_decides_instead_gets_the_same_need_and_is_never_contradicted(
    given_rules: Rules, look: Observation, memory: Memory, replicas: int | None, paused: bool
) -> None:
    told = replace(given_rules, external=True, replicas=replicas, paused=paused)
    decision = decide(told, look, memory)
    assert decision.desired == replicas
    assert given_rules.min <= decision.inputs["needed"] <= max(given_rules.max, look.replicas)
    if not paused:
        assert decision.inputs["needed"] == decide(given_rules, look, memory).inputs["needed"]


@given(rules(), observations(), memories())
def test_parked_jobs_need_no_more_than_one(given_rules: Rules, look: Observation, memory: Memory) -> None:
    # Their number: it is a part of what has arrived, so that is taken out of the comparison.
    few, many = replace(look, parked=1), replace(look, parked=1000)
    total = look.waiting + look.active + look.orphaned
    assert desired(given_rules, few, replace(memory, total=total + 1)) == desired(
        given_rules, many, replace(memory, total=total + 1000)
    )


@given(rules(), observations(), memories())
def test_memory_survives_json_and_stays_small(given_rules: Rules, look: Observation, memory: Memory) -> None:
    after = decide(given_rules, look, memory).memory
    assert Memory.from_json(json.loads(json.dumps(asdict(after)))) == after


@given(st.lists(st.tuples(rules(), observations(), memories()), max_size=3))
def test_a_decision_is_made_again_from_its_line(looks: list[tuple[Rules, Observation, Memory]]) -> None:
    lines = [line(given_rules, look, memory, decide(given_rules, look, memory)) for given_rules, look, memory in looks]
    assert not any("\n" in text for text in lines)
    for logged, again in replay(lines):
        assert logged == again


@given(rules(), observations(), memories())
def test_every_decision_has_a_sentence(given_rules: Rules, look: Observation, memory: Memory) -> None:
    decision = decide(given_rules, look, memory)
    assert decision.sentence.endswith(".")
    assert f"{decision.desired} pod" in decision.sentence
    assert len(decision.sentence) < 200
