"""The first thing that somebody does with Jobyard on Kubernetes, with the commands that docs/install.md gives."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from dramatiq import Message

from cluster.cluster import Cluster
from jobyard.broker import JobyardBroker
from support import alerts
from support.chart import ROOT
from support.waiting import eventually

_SYSTEM: Final = "jobyard-system"
_EXAMPLE: Final = "jobyard-example"
_OPERATORS: Final = "app.kubernetes.io/component=operator"


@pytest.fixture
def installed(cluster: Cluster) -> Iterator[None]:
    """`kubectl apply -k manifests/`, once, on a cluster that knows nothing of Jobyard. What others have of it comes back."""
    folder = str(ROOT / "manifests" / "crds")
    had = cluster.kubectl("get", "--ignore-not-found", "-o", "name", "-f", folder)
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=60s", "-f", folder)
    try:
        cluster.kubectl("apply", "-k", "manifests/", directory=ROOT)
        for what in ("statefulset/jobyard-valkey", "deployment/jobyard-operator"):
            cluster.kubectl("-n", _SYSTEM, "rollout", "status", what, "--timeout=110s")
        yield
    finally:
        cluster.kubectl("delete", "namespace", _EXAMPLE, _SYSTEM, "--ignore-not-found", "--wait=false")
        cluster.kubectl("delete", "-k", "manifests/", "--ignore-not-found", "--wait=false", directory=ROOT, check=False)
        if had:
            # The names are free when the old ones have gone.
            cluster.kubectl("delete", "--ignore-not-found", "--timeout=60s", "-f", folder)
            cluster.kubectl("apply", "--server-side", "-f", folder)
            cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", folder)


@pytest.mark.harms_cluster("all JobQueues go with their definition")
@pytest.mark.timeout(400)  # Started alone, it starts the cluster, too.
@pytest.mark.usefixtures("installed")
def test_a_first_installation_serves_the_example_survives_its_leader_and_goes(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-k", "manifests/examples/", directory=ROOT)
    # Its ticks would wake the queue while this test counts, and thirty seconds of nothing are a long time.
    _patch(cluster, "jobschedule/newsletter", {"suspend": True})
    _patch(cluster, "jobqueue/emails", {"scaling": {"idleTimeoutSeconds": 5}})
    with cluster.forwarded(_SYSTEM, "service/jobyard-valkey", 6379) as address:
        broker = JobyardBroker(f"redis://{address}/0", middleware=[])
        try:
            _the_example_is_served(cluster, broker)
            _a_thousand_jobs_wake_it(cluster, broker)
            _another_one_leads(cluster, broker)
        finally:
            broker.close()
    _the_operators_are_well(cluster)

    cluster.kubectl("delete", "-k", "manifests/examples", "--timeout=100s", directory=ROOT)
    cluster.kubectl("delete", "-k", "manifests/", "--timeout=100s", directory=ROOT)
    everything = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings"
    assert "jobyard" not in cluster.kubectl("get", everything, "-o", "name")


def _the_example_is_served(cluster: Cluster, broker: JobyardBroker) -> None:
    """200 jobs, of which four must fail."""
    eventually(lambda: broker.inspector.stats("emails").dead == 4, 90, what="four jobs are dead letters")
    eventually(lambda: broker.inspector.stats("emails").completed >= 196, 60, what="the others are done")
    cluster.kubectl("-n", _EXAMPLE, "wait", "--for=condition=Ready", "jobqueue/emails", "--timeout=30s")
    cluster.kubectl("-n", _EXAMPLE, "wait", "--for=condition=Ready", "jobschedule/newsletter", "--timeout=30s")
    eventually(lambda: len(cluster.get(_EXAMPLE, "deadjobs")["items"]) == 4, 30, what="each is a DeadJob")
    eventually(lambda: _replicas(cluster) == 0, 60, what="back to zero")


def _a_thousand_jobs_wake_it(cluster: Cluster, broker: JobyardBroker) -> None:
    before = broker.inspector.stats("emails")
    jobs: list[Message[Any]] = [
        Message("emails", "welcome", (f"customer-{number}@example.org",), {}, {}, message_id=f"thousand-{number}")
        for number in range(1000)
    ]
    with _watched_replicas(cluster) as seen:
        eventually(lambda: seen() and seen()[-1][1] == 0, 20, what="it is watched, and at zero")
        began = time.monotonic()
        broker.enqueue_many(jobs)
        eventually(lambda: seen()[-1][1] > 0, 20, what="the queue wakes up")
        at, replicas = next(one for one in seen() if one[1] > 0)
        assert replicas == 5, "straight to the number needed, which is scaling.max"
        assert at - began < 2
        eventually(
            lambda: broker.inspector.stats("emails").completed == before.completed + 1000, 100, what="all are done"
        )
        eventually(lambda: seen()[-1][1] == 0, 60, what="back to zero")
    after = broker.inspector.stats("emails")
    assert after.lost == 0
    assert after.counts["started"] - before.counts["started"] == 1000, "no job was interrupted"


def _another_one_leads(cluster: Cluster, broker: JobyardBroker) -> None:
    """Its leader's pod is deleted, and the schedule is run by hand."""
    leader = _leader(cluster)
    with (
        cluster.forwarded(_SYSTEM, f"pod/{leader}", 8080) as address,
        urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply,
    ):
        served = set(re.findall(r"^# TYPE (\S+)", reply.read().decode(), re.MULTILINE))
    assert alerts.metrics() <= served
    done = broker.inspector.stats("emails").completed
    cluster.kubectl("-n", _SYSTEM, "delete", "pod", leader, "--wait=false")
    eventually(lambda: _leader(cluster) not in ("", leader), 10, what="another one leads")
    cluster.kubectl("-n", _EXAMPLE, "annotate", "jobschedule", "newsletter", "jobyard.dev/run-now=1")
    eventually(lambda: broker.inspector.stats("emails").completed == done + 1, 60, what="the queue wakes up again")


def _the_operators_are_well(cluster: Cluster) -> None:
    cluster.kubectl("-n", _SYSTEM, "rollout", "status", "deployment/jobyard-operator", "--timeout=60s")
    pods = cluster.get(_SYSTEM, "pods", "-l", _OPERATORS)["items"]
    names = {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    assert len(names) == 2
    (limit,) = {pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in pods}
    node = pods[0]["spec"]["nodeName"]
    used = eventually(lambda: _memory(cluster, node, names), 60, what="the kubelet has measured them")
    assert max(used) < int(limit.removesuffix("Mi")) * 2**20 / 2, used
    said = cluster.kubectl("-n", _SYSTEM, "logs", "-l", _OPERATORS, "--tail=-1", "--prefix")
    assert "forbidden" not in said.lower(), said
    assert "Traceback" not in said, said


def _patch(cluster: Cluster, what: str, spec: dict[str, Any]) -> None:
    cluster.kubectl("-n", _EXAMPLE, "patch", what, "--type=merge", "-p", json.dumps({"spec": spec}))


def _replicas(cluster: Cluster) -> int:
    return int(cluster.kubectl("-n", _EXAMPLE, "get", "deployment", "emails-worker", "-o", "jsonpath={.spec.replicas}"))


def _leader(cluster: Cluster) -> str:
    """The pod that holds the Lease; an identity is the pod's name and a random part."""
    holder = cluster.get(_SYSTEM, "lease", "jobyard-operator")["spec"].get("holderIdentity") or ""
    names = cluster.kubectl("-n", _SYSTEM, "get", "pods", "-l", _OPERATORS, "-o", "name").split()
    return next((name.removeprefix("pod/") for name in names if holder.startswith(name.removeprefix("pod/"))), "")


def _memory(cluster: Cluster, node: str, pods: set[str]) -> list[int]:
    """Bytes that each uses, as the kubelet has it; []: it doesn't know all of them yet."""
    summary = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    found = [
        container["memory"]["workingSetBytes"]
        for pod in summary["pods"]
        if pod["podRef"]["name"] in pods
        for container in pod["containers"]
        if "workingSetBytes" in container.get("memory", ())
    ]
    return found if len(found) == len(pods) else []


@contextmanager
def _watched_replicas(cluster: Cluster) -> Iterator[Callable[[], list[tuple[float, int]]]]:
    """What the Deployment has asked for, and since when (monotonic): each change as the API server tells it."""
    command = [
        cluster.program,
        "--kubeconfig",
        cluster.kubeconfig,
        "-n",
        _EXAMPLE,
        "get",
        "deployment",
        "emails-worker",
    ]
    seen: list[tuple[float, int]] = []
    with subprocess.Popen(
        [*command, "--watch", "-o", 'jsonpath={.spec.replicas}{"\\n"}'], stdout=subprocess.PIPE, text=True
    ) as process:

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                seen.append((time.monotonic(), int(line)))  # noqa: PERF401 (it is looked at meanwhile)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield lambda: list(seen)
        finally:
            process.terminate()
            reader.join()
