"""What is installed, on a real API server: it takes all of it, under the rights that are meant, and gives it up again."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster import Cluster
from cluster.valkey import Valkey
from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Inspector
from jobyard.web.tokens import Scope, new_token
from support.chart import CHART, ROOT, kustomize, one, pod_spec
from support.kubernetes_tools import helm
from support.waiting import eventually


@pytest.fixture
def install(control_plane: Cluster, kube_namespace: str) -> Iterator[Callable[..., None]]:
    """Installs or upgrades the chart in the test's namespace, of which it is the operator."""

    def upgrade(**values: Any) -> None:
        repository, _, tag = control_plane.image.rpartition(":")
        image = {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}
        given = {"image": image, "watchNamespaces": [kube_namespace], **values}
        command = ["upgrade", "--install", "jobyard", str(CHART), "--namespace", kube_namespace, "--take-ownership"]
        helm(*command, "--kubeconfig", control_plane.kubeconfig, "--values", "-", given=json.dumps(given))

    yield upgrade
    helm(
        "uninstall",
        "jobyard",
        "--namespace",
        kube_namespace,
        "--kubeconfig",
        control_plane.kubeconfig,
        "--ignore-not-found",
    )


def can(cluster: Cluster, verb: str, resource: str, *whom: str) -> bool:
    """Whether somebody may do that to RESOURCE, RESOURCE/NAME or RESOURCE#SUBRESOURCE."""
    resource, _, part = resource.partition("#")
    return cluster.kubectl("auth", "can-i", verb, resource, f"--subresource={part}", *whom, check=False) == "yes\n"


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("folder", ["manifests", "manifests/namespaced", "manifests/examples"])
def test_the_api_server_takes_all_of_it(
    control_plane: Cluster, kube_namespace: str, folder: str, tmp_path: Path
) -> None:
    base = os.path.relpath(ROOT / folder, tmp_path.resolve())
    tmp_path.joinpath("kustomization.yaml").write_text(f"namespace: {kube_namespace}\nresources: [{base}]\n", "utf-8")
    wanted = control_plane.kubectl("kustomize", str(tmp_path))
    said = control_plane.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--warnings-as-errors",
        "-f",
        "-",
        given=wanted,
    )
    assert len(said.splitlines()) == wanted.count("\nkind: ") + wanted.startswith("kind: ")


def test_the_operators_rights_are_those_of_its_namespace(
    control_plane: Cluster, kube_namespace: str, install: Callable[..., None]
) -> None:
    install()

    def may(verb: str, resource: str, namespace: str = kube_namespace) -> bool:
        account = f"system:serviceaccount:{kube_namespace}:jobyard-operator"
        return can(control_plane, verb, resource, "-n", namespace, "--as", account)

    for verb, resource in (
        ("watch", "jobqueues.jobyard.dev"),
        ("patch", "jobschedules.jobyard.dev#status"),
        ("create", "deadjobs.jobyard.dev"),
        ("patch", "deployments.apps#scale"),
        ("create", "poddisruptionbudgets.policy"),
        ("patch", "pods"),
        ("create", "events.events.k8s.io"),
        ("get", "secrets"),
        ("create", "leases.coordination.k8s.io"),
        ("update", "leases.coordination.k8s.io/jobyard-operator"),
    ):
        assert may(verb, resource), (verb, resource)
    for verb, resource in (
        ("list", "secrets"),
        ("watch", "secrets"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods#exec"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts#token"),
        ("delete", "jobqueues.jobyard.dev"),
        ("update", "leases.coordination.k8s.io/other"),
    ):
        assert not may(verb, resource), (verb, resource)
    for resource in ("jobqueues.jobyard.dev", "secrets", "leases.coordination.k8s.io/jobyard-operator"):
        assert not may("get", resource, "kube-system"), resource


def test_editors_of_a_namespace_edit_its_queues(
    control_plane: Cluster, kube_namespace: str, install: Callable[..., None]
) -> None:
    install()
    for role in ("view", "edit"):
        control_plane.kubectl(
            "-n", kube_namespace, "create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er"
        )

    def may(user: str, verb: str, resource: str) -> bool:
        return can(control_plane, verb, resource, "-n", kube_namespace, "--as", user)

    # A controller adds our rules to theirs.
    eventually(lambda: may("editer", "create", "jobqueues.jobyard.dev"), 30, what="editors create queues")
    eventually(lambda: may("viewer", "list", "deadjobs.jobyard.dev"), 30, what="viewers see dead letters")
    assert may("editer", "patch", "jobqueues.jobyard.dev#scale")
    assert may("editer", "delete", "deadjobs.jobyard.dev")
    assert not may("viewer", "create", "jobqueues.jobyard.dev")
    assert not may("editer", "patch", "jobqueues.jobyard.dev#status")


def test_uninstalling_leaves_the_definitions_and_nothing_else(
    control_plane: Cluster, kube_namespace: str, install: Callable[..., None]
) -> None:
    install()
    # Deployments whose pods are refused make none.
    pods = "jsonpath={.status.replicas}"
    eventually(
        lambda: control_plane.kubectl("-n", kube_namespace, "get", "deployment", "jobyard-operator", "-o", pods) == "2",
        60, what="the restricted namespace admits its pods",
    )  # fmt: skip
    install(commonLabels={"team": "shop"}, operator={"replicas": 1})
    helm("uninstall", "jobyard", "--namespace", kube_namespace, "--kubeconfig", control_plane.kubeconfig)
    for path in (ROOT / "manifests" / "crds").glob("*.yaml"):
        assert control_plane.kubectl("get", "crd", f"{path.stem}.jobyard.dev", "-o", "name")
    kinds = "deployments,services,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets"
    left = control_plane.kubectl(
        "-n", kube_namespace, "get", kinds, "-l", "app.kubernetes.io/part-of=jobyard", "-o", "name"
    )
    assert left == ""


def test_the_dashboard_serves_with_tokens_and_redis_from_secrets(
    cluster: Cluster, kube_namespace: str, install: Callable[..., None], valkey: Valkey
) -> None:
    secret, kept = new_token(Scope.READ)
    tokens = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tokens"}, "stringData": {"tokens": kept.line}}
    cluster.apply(kube_namespace, tokens, valkey.secret("redis"))
    install(web={"enabled": True, "tokens": {"existingSecret": "tokens"}}, redis={"existingSecret": "redis"})
    cluster.kubectl("-n", kube_namespace, "rollout", "status", "deployment/jobyard-web", "--timeout=100s")
    with cluster.forwarded(kube_namespace, "service/jobyard-web", 80) as address:
        request = urllib.request.Request(f"http://{address}/api/access", headers={"Authorization": f"Bearer {secret}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert json.load(reply) == {"scope": "read"}


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("everywhere", [False, True], ids=["one namespace", "all namespaces"])
def test_the_operator_serves_the_example_under_its_rights(
    cluster: Cluster, kube_namespace: str, install: Callable[..., None], valkey: Valkey, *, everywhere: bool
) -> None:
    install(watchNamespaces=[] if everywhere else [kube_namespace])
    cluster.kubectl("-n", kube_namespace, "rollout", "status", "deployment/jobyard-operator", "--timeout=100s")
    example = [each for each in kustomize("manifests/examples") if each["kind"] not in ("Namespace", "Secret")]
    for document in example:
        document["metadata"]["namespace"] = kube_namespace
    one(example, "JobQueue")["spec"]["worker"]["image"] = cluster.image
    enqueuing = pod_spec(one(example, "Job"))
    assert enqueuing is not None
    enqueuing["containers"][0] |= {"image": cluster.image, "command": ["python", "/app/shop.py", "20"]}
    cluster.apply(kube_namespace, valkey.secret("redis"), *example)

    broker = JobyardBroker(valkey.url)
    try:
        eventually(lambda: Inspector(broker).stats("emails").completed == 20, 120, what="all jobs are done")
    finally:
        broker.close()
    ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    eventually(
        lambda: cluster.kubectl("-n", kube_namespace, "get", "jobqueue", "emails", "-o", ready) == "True",
        60, what="the operator says that the queue is ready",
    )  # fmt: skip
    said = cluster.kubectl("-n", kube_namespace, "logs", "-l", "app.kubernetes.io/component=operator", "--tail=-1")
    assert "forbidden" not in said.lower(), said
