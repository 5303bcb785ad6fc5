"""The autoscaler on loads as they come: bursts, steady ones, noise, silence, faults."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import asdict, replace

import pytest
from tests.unit.operator.conftest import build_queue
from tests.unit.operator.looks import follow

from jobyard_operator.core.decision_log import LogError, line, replay
from jobyard_operator.core.observation import Memory, Observation, Rules
from jobyard_operator.core.reasons import Bound, Reason
from jobyard_operator.core.scaling import decide

RULES = Rules(max=100)
KNOWN = Memory(looked=100.0, service=1.0)


def test_from_zero_to_the_number_needed_in_one_step() -> None:
    # 1,000 jobs of 1 s within 30 - 10 s, on 8 threads a pod.
    decision = decide(RULES, Observation(now=100, waiting=1000), replace(KNOWN, looked=None))
    assert decision.desired == 7
    assert decision.reason is Reason.SLO_BACKLOG
    assert decision.sentence == "7 pods to start 1000 jobs that take 1 s each within 30 s."


def test_without_a_measurement_jobs_per_replica_decides() -> None:
    decision = decide(RULES, Observation(now=100, waiting=1000), Memory())
    assert decision.desired == 50
    assert decision.reason is Reason.JOBS_PER_REPLICA


def test_more_threads_than_jobs_are_not_ordered() -> None:
    # Three jobs of ten minutes: one pod has the threads, however late they are.
    decision = decide(RULES, Observation(now=100, waiting=3, oldest=500), Memory(service=600.0))
    assert decision.desired == 1
    assert Bound.USEFUL in decision.bounds


def test_a_steady_load_gets_what_littles_law_says() -> None:
    # 16 a second that take 1 s, at 80 %: 20 threads, 2.5 pods.
    looks = (Observation(now=1000.0 + 5 * n, active=16, ended=80 * n, service=1.0) for n in range(400))
    *_, (_, last) = follow(RULES, looks)
    assert last.desired == 3
    assert last.reason is Reason.STEADY_LOAD


def test_noise_does_not_move_a_steady_load() -> None:
    chance = random.Random(7)
    ended, looks = 0, []
    for n in range(720):
        ended += sum(chance.random() < 0.5 for _ in range(200))
        looks.append(Observation(now=1000.0 + 5 * n, waiting=chance.randrange(4), active=16, ended=ended, service=1.0))
    numbers = [decision.desired for _, decision in follow(RULES, iter(looks))][120:]
    changes = sum(before != after for before, after in itertools.pairwise(numbers))
    assert changes <= 6, "in 50 minutes"


def test_flapping_is_held_for_twice_as_long() -> None:
    memory = Memory(looked=995.0, service=1.0, turns=(900.0, 910.0, 930.0, 950.0, 970.0), steady=((800.0, 6),))
    look = Observation(now=1000.0, active=1, replicas=6, ready=6, idle=5)
    decision = decide(RULES, look, memory)
    assert decision.desired == 6
    assert decision.bounds[-2:] == (Bound.FLAP_GUARD, Bound.STABILIZATION)
    assert decide(RULES, look, replace(memory, turns=())).desired == 3


def test_a_difference_of_one_must_last_twice_as_long() -> None:
    look = Observation(now=1000.0, active=8, replicas=2, ready=2, idle=1)
    memory = Memory(looked=995.0, service=1.0, steady=((850.0, 2),))
    assert decide(RULES, look, memory).bounds[-2:] == (Bound.DEAD_BAND, Bound.STABILIZATION)
    assert decide(RULES, replace(look, now=1100.0), replace(memory, looked=1095.0)).desired == 1


def test_down_only_by_those_that_are_idle() -> None:
    look = Observation(now=1000.0, active=9, replicas=10, ready=10, idle=2)
    decision = decide(RULES, look, Memory(looked=995.0, service=1.0))
    assert decision.desired == 8
    assert decision.reason is Reason.DRAINING


def test_a_lower_max_waits_for_busy_pods_too() -> None:
    look = Observation(now=1000.0, waiting=500, active=80, replicas=10, ready=10, idle=0)
    decision = decide(replace(RULES, max=4), look, Memory(looked=995.0, service=1.0))
    assert decision.desired == 10
    assert decision.reason is Reason.DRAINING


def test_a_lower_max_waits_for_nothing_else() -> None:
    look = Observation(now=1000.0, active=1, replicas=3, ready=3, idle=2)
    memory = Memory(looked=995.0, service=1.0, steady=((990.0, 3),), needed=((990.0, 3),))
    assert decide(replace(RULES, max=3), look, memory).reason is Reason.STABILIZING
    for most in (1, 2):
        decision = decide(replace(RULES, max=most), look, memory)
        assert decision.desired == 2, "half of them at a time"
        assert Bound.DEAD_BAND not in decision.bounds


def test_to_zero_after_the_idle_timeout_and_not_before() -> None:
    looks = [Observation(now=1000.0 + 5 * n, active=int(n < 10), ended=int(n >= 10)) for n in range(60)]
    decisions = [decision for _, decision in follow(RULES, iter(looks), replicas=1)]
    zero = next(n for n, decision in enumerate(decisions) if decision.desired == 0)
    assert 5 * (zero - 11) == 120
    assert decisions[zero - 1].reason is Reason.IDLING
    assert decisions[-1].reason is Reason.IDLE_TIMEOUT
    assert all(decision.desired == 0 for decision in decisions[zero:])


def test_short_jobs_between_two_looks_keep_a_queue_awake() -> None:
    # Nothing is there whenever we look, but jobs come and end.
    looks = (Observation(now=1000.0 + 5 * n, ended=n, service=0.01) for n in range(200))
    assert all(decision.desired == 1 for _, decision in follow(RULES, looks, replicas=1))


def test_a_pod_is_there_when_a_job_is_due() -> None:
    sleeping = Observation(now=1000.0, delayed=1, next_due=60.0, cold_start=20.0)
    assert decide(RULES, sleeping, KNOWN).desired == 0
    decision = decide(RULES, replace(sleeping, next_due=24.0), KNOWN)
    assert (decision.desired, decision.reason) == (1, Reason.PREWARM)
    decision = decide(RULES, replace(sleeping, next_due=24.0, due_soon=1000), KNOWN)
    assert decision.desired == 13
    assert decision.reason is Reason.PREWARM


def test_a_pod_is_there_when_a_schedule_ticks() -> None:
    decision = decide(RULES, Observation(now=1000.0, next_tick=14.0), KNOWN)
    assert (decision.desired, decision.reason) == (1, Reason.PREWARM)


def test_jobs_of_dead_workers_wake_a_queue() -> None:
    assert decide(RULES, Observation(now=1000.0, orphaned=1), KNOWN).desired == 1


def test_long_first_jobs_are_not_invisible_while_few_have_ended() -> None:
    look = Observation(now=1000.0, waiting=40, active=8, running=60.0, replicas=1, ready=1, idle=0)
    young = decide(RULES, look, replace(KNOWN, runs=3)).inputs
    grown = decide(RULES, look, replace(KNOWN, runs=3000)).inputs
    assert (young["service"], grown["service"]) == (60.0, 1.0)


def test_one_long_job_among_many_short_ones_moves_little() -> None:
    memory = Memory(looked=995.0, ended=1000, service=1.0, runs=1000, slow=4.0, fast=4.0)
    decision = decide(RULES, Observation(now=1000.0, active=4, ended=1020, service=16.0), memory)
    assert 1.3 < decision.inputs["service"] < 1.6


def test_a_rate_limit_caps_what_more_pods_could_do() -> None:
    look = Observation(now=1000.0, waiting=10_000)
    decision = decide(replace(RULES, rate=10.0), look, KNOWN)
    assert (decision.desired, decision.reason) == (2, Reason.RATE_LIMITED)


def test_a_concurrency_limit_does_as_well() -> None:
    decision = decide(replace(RULES, concurrency=20), Observation(now=1000.0, waiting=10_000), KNOWN)
    assert (decision.desired, decision.reason) == (3, Reason.RATE_LIMITED)


def test_scale_up_limits_what_is_added_in_a_period_but_not_from_zero() -> None:
    many = [Observation(now=1000.0 + 5 * n, waiting=8000, service=1.0) for n in range(10)]
    numbers = [decision.desired for _, decision in follow(RULES, iter(many), replicas=2)]
    assert numbers == [6, 6, 6, 12, 12, 12, 24, 24, 24, 48]
    assert next(follow(RULES, iter(many)))[1].desired == 50


def test_at_most_half_goes_in_a_period() -> None:
    looks = [Observation(now=1000.0 + 5 * n, active=1) for n in range(8)]
    memory = Memory(looked=995.0, service=1.0)
    numbers = [decision.desired for _, decision in follow(RULES, iter(looks), replicas=16, memory=memory)]
    assert numbers[:7] == [8, 8, 8, 4, 4, 4, 2]


def test_at_max_it_says_how_many_would_be_needed() -> None:
    decision = decide(replace(RULES, max=5), Observation(now=1000.0, waiting=1000), KNOWN)
    assert (decision.desired, decision.reason) == (5, Reason.AT_MAX)
    assert "would be needed" in decision.sentence


def test_when_redis_is_away_replicas_stay_and_then_fall_back() -> None:
    rules = replace(RULES, fallback_after=60.0, fallback_replicas=5)
    look = Observation(now=1000.0, error="Connection refused", replicas=2)
    first = decide(rules, look, KNOWN)
    assert (first.desired, first.reason) == (2, Reason.UNREACHABLE)
    second = decide(rules, replace(look, now=1060.0), first.memory)
    assert (second.desired, second.reason) == (5, Reason.FALLBACK)
    assert "Connection refused" in second.sentence
    assert decide(rules, replace(look, now=1060.0, replicas=9), first.memory).desired == 9


def test_paused_lets_running_jobs_finish_and_then_goes_to_min() -> None:
    rules = replace(RULES, paused=True)
    busy = Observation(now=1000.0, waiting=1000, active=10, replicas=7, ready=7, idle=4)
    assert decide(rules, busy, KNOWN).desired == 3
    finished = Observation(now=1000.0, waiting=1000, replicas=3, ready=3, idle=3)
    done = decide(rules, finished, KNOWN)
    assert (done.desired, done.reason) == (0, Reason.PAUSED)
    assert decide(replace(rules, min=1), finished, KNOWN).desired == 1


def test_external_decides_nothing_and_passes_replicas_on() -> None:
    look = Observation(now=1000.0, waiting=1000, replicas=3)
    assert decide(replace(RULES, external=True), look, KNOWN).desired is None
    assert decide(replace(RULES, external=True, replicas=4), look, KNOWN).reason is Reason.EXTERNAL
    manual = decide(replace(RULES, replicas=4), look, KNOWN)
    assert (manual.desired, manual.reason) == (4, Reason.MANUAL)


def test_whoever_decides_instead_is_told_what_is_needed() -> None:
    external = replace(RULES, external=True)
    looks = [Observation(now=1000.0 + 2 * n, waiting=100, ended=20 * n, service=1.0, replicas=1) for n in range(60)]
    memory, decisions = Memory(), []
    for look in looks:
        decisions.append(decide(external, look, memory))
        memory = decisions[-1].memory
    last = decisions[-1]
    own = decide(RULES, looks[-1], decisions[-2].memory)
    assert last.inputs["needed"] == own.inputs["needed"] > 1
    assert f"{last.inputs['needed']} pods would be needed" in last.sentence
    paused = decide(replace(external, paused=True), looks[-1], memory)
    assert paused.inputs["needed"] == 0
    away = decide(external, replace(looks[-1], error="Connection refused"), memory)
    assert (away.desired, away.inputs) == (None, {}), "what is not known is not said"
    assert away.memory == memory


def test_a_queue_that_is_given_back_keeps_what_runs_for_a_while() -> None:
    look = Observation(now=1000.0, replicas=9, ready=9, idle=9, active=0, waiting=1)
    told = decide(replace(RULES, replicas=9), look, KNOWN)
    back = decide(RULES, replace(look, now=1002.0), told.memory)
    assert (back.desired, back.reason) == (9, Reason.STABILIZING)
    assert decide(RULES, replace(look, now=1500.0), back.memory).desired < 9


def test_a_new_operator_holds_what_runs() -> None:
    look = Observation(now=1000.0, active=1, replicas=9, ready=9, idle=8)
    first = decide(RULES, look, Memory())
    assert (first.desired, first.reason) == (9, Reason.STABILIZING)


def test_memory_stays_small_however_long_a_load_falls() -> None:
    rules = Rules(max=10_000, stabilization=3600)
    looks = (Observation(now=1000.0 + 5 * n, waiting=90_000 - 25 * n, ended=25 * n, service=60.0) for n in range(3000))
    *_, (_, last) = follow(rules, looks)
    assert last.memory.steady
    assert len(json.dumps(asdict(last.memory))) < 4000


def test_a_redis_that_was_emptied_is_no_negative_load() -> None:
    before = Memory(looked=995.0, total=500, ended=10**6, service=1.0)
    decision = decide(RULES, Observation(now=1000.0, waiting=1, ended=0), before)
    assert decision.memory.fast >= 0
    assert decision.desired == 1


def test_rules_come_from_the_resource() -> None:
    queue = build_queue(
        worker={"image": "shop", "modules": ["shop"], "processes": 2, "threads": 4},
        scaling={"min": 1, "max": 5, "targetUtilizationPercent": 70, "fallback": {"replicas": 3}},
        policy={"rateLimit": {"jobs": 30, "periodSeconds": 60}},
    )
    rules = Rules.of(queue.spec)
    assert (rules.threads, rules.min, rules.max, rules.utilization) == (8, 1, 5, 0.7)
    assert (rules.rate, rules.fallback_after, rules.fallback_replicas) == (0.5, 120, 3)


def test_a_line_of_something_else_is_named() -> None:
    look = Observation(now=1000.0)
    good = line(RULES, look, KNOWN, decide(RULES, look, KNOWN))
    with pytest.raises(LogError, match="line 2"):
        list(replay([good, '{"level":"info"}']))
