"""What the API server makes of JobQueue and DeadJob: what it refuses, fills in, explains and shows."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from cluster.cluster import Cluster
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("crds")


def job_queue(name: str = "emails", **spec: Any) -> dict[str, Any]:
    """A correct one, but for what is given."""
    correct = {
        "queue": "emails",
        "redis": {"secretRef": {"name": "redis"}},
        "worker": {"image": "registry.example/shop:1.4", "modules": ["shop.jobs"]},
    }
    return {
        "apiVersion": "jobyard.dev/v1alpha1",
        "kind": "JobQueue",
        "metadata": {"name": name},
        "spec": {**correct, **spec},
    }


REFUSED = {
    "a name that Dramatiq uses": (
        {"queue": "emails.DQ"},
        "a queue's name must not end in .DQ or .XQ: choose another one",
    ),
    "no Redis": ({"redis": {}}, "give exactly one of secretRef (a Secret that holds the URL) and url"),
    "two of them": (
        {"redis": {"secretRef": {"name": "redis"}, "url": "redis://redis/0"}},
        "give exactly one of secretRef (a Secret that holds the URL) and url",
    ),
    "a password in the open": (
        {"redis": {"url": "redis://:secret@redis/0"}},
        "a URL with a user or a password belongs in a Secret: use secretRef",
    ),
    "min above max": ({"scaling": {"min": 3, "max": 2}}, "min must not be greater than max: lower min or raise max"),
    "min above the max that is filled in": ({"scaling": {"min": 11}}, "min must not be greater than max"),
    "a fallback above max": (
        {"scaling": {"max": 2, "fallback": {"replicas": 3}}},
        "fallback.replicas must not be greater than max: lower it or raise max",
    ),
    "two orders": (
        {"policy": {"ageingSeconds": 60, "fairness": {}}},
        "ageingSeconds and fairness both decide a job's position: remove one of them",
    ),
}


@pytest.mark.parametrize(("spec", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused_with_what_to_change(
    control_plane: Cluster, kube_namespace: str, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RuntimeError) as refusal:
        control_plane.apply(kube_namespace, job_queue(**spec))
    assert sentence in str(refusal.value)
    assert control_plane.get(kube_namespace, "jobqueues")["items"] == []


def test_a_name_that_is_no_label_is_refused(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.apply(kube_namespace, job_queue("n" * 63))
    with pytest.raises(RuntimeError, match="choose one of at most 63 characters"):
        control_plane.apply(kube_namespace, job_queue("n" * 64))


def test_a_queues_name_stays(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.apply(kube_namespace, job_queue())
    with pytest.raises(RuntimeError, match="can't be changed: create another JobQueue and delete this one"):
        control_plane.apply(kube_namespace, job_queue(queue="letters"))
    assert control_plane.get(kube_namespace, "jobqueue", "emails")["spec"]["queue"] == "emails"


def test_a_field_that_does_not_exist_is_refused(control_plane: Cluster, kube_namespace: str) -> None:
    with pytest.raises(RuntimeError, match=r'unknown field "spec.scaling.maximum"'):
        control_plane.apply(kube_namespace, job_queue(scaling={"maximum": 3}))


def test_what_is_left_out_is_filled_in(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.apply(kube_namespace, job_queue())
    spec = control_plane.get(kube_namespace, "jobqueue", "emails")["spec"]
    assert spec["redis"] == {"secretRef": {"name": "redis", "key": "url"}, "namespace": "jobyard"}
    assert (spec["worker"]["processes"], spec["worker"]["threads"], spec["worker"]["drainTimeoutSeconds"]) == (1, 8, 25)
    assert (spec["scaling"]["mode"], spec["scaling"]["min"], spec["scaling"]["max"]) == ("Internal", 0, 10)
    assert spec["scaling"]["scaleDown"] == {"maxPercent": 50, "periodSeconds": 15}
    assert spec["paused"] is False
    assert spec["deletionPolicy"] == "KeepJobs"
    assert "replicas" not in spec


def test_explain_says_what_each_field_is(control_plane: Cluster) -> None:
    def explained() -> str:
        return control_plane.kubectl("explain", "jobqueue.spec", check=False)

    text = " ".join(eventually(explained, 30, what="the API server has published the schema").split())
    assert "One queue, the workers that serve it, and how many there shall be." in text
    assert "queue <string> -required- Name of the queue, as actors name it" in text
    deeper = control_plane.kubectl("explain", "jobqueue.spec.scaling.targetWaitSeconds")
    assert "jobs start within so many seconds" in " ".join(deeper.split())


def test_a_glance_shows_how_a_queue_is(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.apply(kube_namespace, job_queue())
    status = {"readyReplicas": 2, "waiting": 40, "oldestSeconds": 7, "dead": 1}
    control_plane.kubectl(
        "-n", kube_namespace, "patch", "jobqueue", "emails", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    heads, row = control_plane.kubectl("-n", kube_namespace, "get", "jq").splitlines()
    assert heads.split() == ["NAME", "READY", "REPLICAS", "WAITING", "OLDEST", "DEAD", "REASON", "AGE"]
    # Ready and Reason are not known yet.
    assert row.split()[:5] == ["emails", "2", "40", "7", "1"]
    assert "DESIRED" in control_plane.kubectl("-n", kube_namespace, "get", "jq", "-o", "wide")
    assert "jobqueue.jobyard.dev/emails" in control_plane.kubectl(
        "-n", kube_namespace, "get", "jobyard", "-o", "name"
    )  # fmt: skip


def test_kubectl_scales_a_queue(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.apply(kube_namespace, job_queue())
    control_plane.kubectl("-n", kube_namespace, "scale", "jobqueue", "emails", "--replicas=4")
    assert control_plane.get(kube_namespace, "jobqueue", "emails")["spec"]["replicas"] == 4
    # What applies it again without a number leaves the number alone.
    control_plane.apply(kube_namespace, job_queue(paused=True))
    path = f"/apis/jobyard.dev/v1alpha1/namespaces/{kube_namespace}/jobqueues/emails/scale"
    assert json.loads(control_plane.kubectl("get", "--raw", path))["spec"] == {"replicas": 4}


def test_the_status_is_written_apart_from_the_spec(control_plane: Cluster, kube_namespace: str) -> None:
    both = copy.deepcopy(job_queue())
    both["status"] = {"waiting": 5}
    control_plane.apply(kube_namespace, both)
    assert control_plane.get(kube_namespace, "jobqueue", "emails").get("status", {}).get("waiting", 0) == 0


def test_a_glance_shows_dead_letters(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.apply(
        kube_namespace,
        {
            "apiVersion": "jobyard.dev/v1alpha1",
            "kind": "DeadJob",
            "metadata": {"name": "emails-1"},
            "spec": {
                "jobId": "1",
                "queue": "emails",
                "jobQueue": "emails",
                "actor": "welcome",
                "errorType": "SMTPServerDisconnected",
                "attempts": 3,
                "diedTime": "2026-01-01T00:00:00Z",
            },
        },
    )
    heads, row = control_plane.kubectl("-n", kube_namespace, "get", "deadjobs").splitlines()
    assert heads.split() == ["NAME", "QUEUE", "ACTOR", "ERROR", "ATTEMPTS", "DIED"]
    assert row.split()[:5] == ["emails-1", "emails", "welcome", "SMTPServerDisconnected", "3"]
