"""What a JobQueue's conditions say, and when they say that something has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobyard_operator.core.conditions import Facts, Type, conditions
from jobyard_operator.core.observation import Decision, Memory
from jobyard_operator.core.reasons import Bound, Reason
from jobyard_operator.resources.meta import Condition

DECISION = Decision(desired=2, reason=Reason.STEADY_LOAD, sentence="2 pods for 3 jobs a second.", memory=Memory())
WELL = Facts(generation=3, replicas=2, updated=2, ready=2, decision=DECISION)
NOON, LATER = "2026-11-24T12:00:00Z", "2026-11-24T12:05:00Z"


def said(facts: Facts, kind: Type) -> Condition:
    return {condition.type: condition for condition in conditions(facts, (), NOON)}[kind]


def test_all_is_well() -> None:
    statuses = {condition.type: condition.status for condition in conditions(WELL, (), NOON)}
    assert statuses == {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "ScalingActive": "True",
        "ScalingLimited": "False",
        "MetricsAvailable": "True",
        "Paused": "False",
        "DeadLettersPresent": "False",
    }


def test_from_the_first_sight_all_are_there() -> None:
    first = conditions(Facts(generation=1), (), NOON)
    assert [condition.type for condition in first] == list(Type)
    assert first[0].status == "Unknown"
    # Nothing is said to be well that was not looked at.
    assert {one.type for one in first if one.status == "True"} == set()
    assert {one.type: one.status for one in first}["DeadLettersPresent"] == "Unknown"


def test_the_time_changes_only_with_the_status() -> None:
    before = conditions(WELL, (), NOON)
    after = conditions(replace(WELL, generation=4, dead=3), before, LATER)
    times = {condition.type: condition.last_transition_time for condition in after}
    assert times.pop("DeadLettersPresent") == LATER
    assert set(times.values()) == {NOON}
    assert {condition.observed_generation for condition in after} == {4}


def test_nothing_new_gives_the_same_conditions() -> None:
    before = conditions(WELL, (), NOON)
    assert conditions(WELL, before, LATER) == before


def test_conditions_of_others_stay() -> None:
    foreign = Condition(type="example.com/Audited", status="True", reason="Audited", last_transition_time=NOON)
    assert conditions(WELL, [foreign], LATER)[-1] == foreign


@pytest.mark.parametrize(
    ("change", "kind", "status", "reason", "words"),
    [
        ({"error": "Connection refused"}, Type.READY, "False", "RedisUnreachable", "Connection refused"),
        ({"error": "Connection refused"}, Type.METRICS_AVAILABLE, "False", "RedisUnreachable", "stay as they are"),
        ({"failing": "shop:1.5 can't be pulled: not found"}, Type.STALLED, "True", "PodsFail", "shop:1.5"),
        ({"failing": "shop:1.5 can't be pulled: not found"}, Type.READY, "False", "PodsFail", "shop:1.5"),
        ({"problem": "There is no Secret redis."}, Type.READY, "False", "NeedsChange", "Secret redis"),
        ({"updated": 1}, Type.RECONCILING, "True", "RollingOut", "1 of 2 pods"),
        ({"ready": 0}, Type.READY, "False", "PodsStarting", "None of 2"),
        ({"wanted": 3, "replicas": 0, "updated": 0, "ready": 0}, Type.READY, "False", "PodsStarting", "None of 3"),
        ({"foreign": (".spec.x", ".spec.y")}, Type.RECONCILING, "False", "UpToDate", "taken over: .spec.x, .spec.y."),
        ({"paused_by_hand": True}, Type.PAUSED, "True", "PausedByHand", "command line"),
        ({"ready": 1}, Type.READY, "True", "PodsServe", "1 of 2"),
        ({"applied": False}, Type.READY, "False", "Applying", "Deployment"),
        ({"replicas": 0, "updated": 0, "ready": 0}, Type.READY, "True", "ScaledToZero", "first job"),
        ({"paused": True}, Type.PAUSED, "True", "SpecPaused", "spec.paused"),
        ({"dead": 1}, Type.DEAD_LETTERS_PRESENT, "True", "JobsFailed", "1 job is a dead letter"),
        ({"dead": 7}, Type.DEAD_LETTERS_PRESENT, "True", "JobsFailed", "7 jobs are dead letters"),
        (
            {"decision": replace(DECISION, reason=Reason.AT_MAX)},
            Type.SCALING_LIMITED,
            "True",
            "AtMax",
            "2 pods",
        ),
        (
            {"decision": replace(DECISION, bounds=(Bound.FLAP_GUARD,))},
            Type.SCALING_LIMITED,
            "True",
            "Flapping",
            "half as fast",
        ),
        (
            {"decision": replace(DECISION, reason=Reason.EXTERNAL)},
            Type.SCALING_ACTIVE,
            "False",
            "External",
            "2 pods",
        ),
    ],
)
def test_what_they_say(change: dict[str, object], kind: Type, status: str, reason: str, words: str) -> None:
    condition = said(replace(WELL, **change), kind)
    assert (condition.status, condition.reason) == (status, reason)
    assert words in condition.message


def test_a_long_error_is_shortened() -> None:
    assert len(said(replace(WELL, failing="x" * 5000), Type.STALLED).message) == 1024
