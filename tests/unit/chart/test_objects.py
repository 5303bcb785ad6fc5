"""Whatever the values: Kubernetes knows every field, pods are restricted, and what refers to something finds it."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_validate import validate
from tests.unit.chart.settings import ALL, EVERYTHING

from support.chart import NAMESPACE, Document, one, pod_spec, render, restricted_violations

#: Of the cluster, not of a namespace.
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}

pytestmark = pytest.mark.parametrize("values", ALL.values(), ids=ALL)


def fits(labels: Document, selector: Document) -> bool:
    return selector.items() <= labels.items()


def test_kubernetes_knows_all_that_is_said(values: dict[str, Any]) -> None:
    for document in render(values):
        if not document["apiVersion"].startswith("monitoring.coreos.com/"):
            validate(document, "1.37", strict=True)


def test_no_two_objects_are_the_same(values: dict[str, Any]) -> None:
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in render(values)]
    assert len(keys) == len(set(keys))


def test_each_object_says_where_it_belongs(values: dict[str, Any]) -> None:
    watched = values.get("watchNamespaces", [])
    for document in render(values):
        namespace = document["metadata"].get("namespace")
        if document["kind"] in CLUSTER_WIDE:
            assert namespace is None
        else:
            assert namespace == NAMESPACE or (namespace in watched and document["kind"] in ("Role", "RoleBinding"))
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "jobyard"
        assert fits(labels, values.get("commonLabels", {}))


def test_pods_are_restricted_and_bounded(values: dict[str, Any]) -> None:
    for spec in filter(None, map(pod_spec, render(values))):
        assert restricted_violations(spec) == []
        # The operator alone speaks to Kubernetes.
        operator = "serviceAccountName" in spec
        assert spec["automountServiceAccountToken"] is operator
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


def test_selectors_find_their_pods_and_no_others(values: dict[str, Any]) -> None:
    documents = render(values)
    pods = {
        document["metadata"]["name"]: document["spec"]["template"]["metadata"]["labels"]
        for document in documents
        if pod_spec(document) is not None
    }
    selectors = {
        "Deployment": lambda spec: spec["selector"]["matchLabels"],
        "StatefulSet": lambda spec: spec["selector"]["matchLabels"],
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
        "Service": lambda spec: spec["selector"],
    }
    for document in documents:
        if document["kind"] in selectors:
            selector = selectors[document["kind"]](document["spec"])
            found = [name for name, labels in pods.items() if fits(labels, selector)]
            assert found == [document["metadata"]["name"]], document["kind"]


def test_ports_and_volumes_that_are_named_exist(values: dict[str, Any]) -> None:
    documents = render(values)
    for document in documents:
        spec = pod_spec(document)
        if spec is None:
            continue
        claims = document["spec"].get("volumeClaimTemplates", [])
        volumes = {each["name"] for each in spec.get("volumes", [])} | {each["metadata"]["name"] for each in claims}
        for container in spec["containers"]:
            assert {each["name"] for each in container["volumeMounts"]} == volumes
            ports = {each["name"] for each in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                handler = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                assert handler["port"] in ports
        service = one(documents, "Service", document["metadata"]["name"])
        assert {each["targetPort"] for each in service["spec"]["ports"]} == ports


def test_no_secret_holds_a_password(values: dict[str, Any]) -> None:
    for document in render(values):
        if document["kind"] == "Secret":
            assert document["stringData"] == {"url": "redis://jobyard-valkey:6379/0"}
            assert values != EVERYTHING
