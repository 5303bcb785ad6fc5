"""What a JobQueue's status says, when, and how often it is written."""

from __future__ import annotations

import json
import re
import time
from itertools import count

import pytest

from cluster.control.paper import PaperScene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(180)
NOON = "2026-11-24T12:00:00Z"
ALL = {
    "Ready",
    "Reconciling",
    "Stalled",
    "ScalingActive",
    "ScalingLimited",
    "MetricsAvailable",
    "Paused",
    "DeadLettersPresent",
}


def writes(scene: PaperScene) -> int:
    found = re.search(
        r'^jobyard_operator_api_requests_total\{method="PATCH",resource="jobqueues/status"\} (\S+)$',
        scene.operator.metrics(),
        re.MULTILINE,
    )
    return int(float(found[1])) if found else 0


def test_all_conditions_are_there_and_change_when_they_change(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    first = eventually(lambda: paper_scene.status().get("conditions"), 15)
    assert {one["type"] for one in first} == ALL, "with the first write"
    paper_scene.settled()
    before = {one["type"]: one for one in paper_scene.status()["conditions"]}
    assert {one["observedGeneration"] for one in before.values()} == {1}

    # Somebody else adds one, which stays.
    audited = {"type": "example.com/Audited", "status": "True", "reason": "Audited", "lastTransitionTime": NOON}
    change = [{"op": "add", "path": "/status/conditions/-", "value": audited}]
    paper_scene.kubectl("patch", "jobqueue", "jq", "--subresource=status", "--type=json", "-p", json.dumps(change))

    paper_scene.bury(["dead"])
    eventually(lambda: paper_scene.condition("DeadLettersPresent")["status"] == "True", 40)
    paper_scene.change({"scaling": {"max": 3}})
    paper_scene.settled()
    after = {one["type"]: one for one in paper_scene.status()["conditions"]}
    assert after.pop("example.com/Audited")["lastTransitionTime"] == NOON
    assert {one["observedGeneration"] for one in after.values()} == {2}
    assert after["DeadLettersPresent"]["lastTransitionTime"] > before["DeadLettersPresent"]["lastTransitionTime"]
    still = ALL - {"DeadLettersPresent"}
    assert {after[kind]["lastTransitionTime"] for kind in still if after[kind]["status"] == before[kind]["status"]} <= {
        before[kind]["lastTransitionTime"] for kind in still
    }

    table = paper_scene.kubectl("get", "jobqueues").splitlines()
    assert all(word in table[0] for word in ("READY", "WAITING", "DEAD", "REASON", "AGE"))
    # Pods that are asked for and don't serve: it is not ready.
    paper_scene.change({"replicas": 2})
    eventually(lambda: paper_scene.condition("Ready")["reason"] == "PodsStarting", 15)


def test_the_status_is_written_at_a_bounded_rate(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(scaling={"max": 1})
    paper_scene.settled()
    numbers = count()
    began, before = time.monotonic(), writes(paper_scene)
    while time.monotonic() - began < 5:
        # Counts change all the time, and each step sees others.
        paper_scene.send([next(numbers) for _ in range(5)])
        for one in paper_scene.worker.fetch():
            paper_scene.worker.done(one)
    written, seconds = writes(paper_scene) - before, time.monotonic() - began
    print(f"{next(numbers)} jobs in {seconds:.1f} s, status written {written} times")
    assert 1 <= written <= seconds + 1
    # What is said in the end is what is.
    waiting = paper_scene.broker.inspector.stats("work").waiting
    eventually(lambda: paper_scene.status()["waiting"] == waiting, 20, what="the last counts are written")
