"""The operator's Deployment: its settings, and what people may add."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.chart.settings import EVERYTHING, NAMESPACED

from support.chart import Document, env, one, pod_spec, render


def operator(values: dict[str, Any] | None = None) -> tuple[Document, Document]:
    """Its pods' spec, and their one container."""
    spec = pod_spec(one(render(values), "Deployment", "jobyard-operator"))
    assert spec is not None
    [container] = spec["containers"]
    return spec, container


def test_its_settings() -> None:
    _, container = operator()
    assert container["image"] == "jobyard:0.1.0"
    assert container["args"] == ["operator"]
    assert env(container) == {
        "JOBYARD_OPERATOR_NAMESPACES": "",
        "JOBYARD_OPERATOR_LEASE_NAME": "jobyard-operator",
        "JOBYARD_OPERATOR_LEASE_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "JOBYARD_POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "JOBYARD_OPERATOR_PORT": "8080",
        "JOBYARD_OPERATOR_LOG_LEVEL": "info",
        "JOBYARD_LOG_FORMAT": "json",
    }
    assert env(operator(NAMESPACED)[1])["JOBYARD_OPERATOR_NAMESPACES"] == "shop,billing"


def test_the_lease_that_it_may_write_is_the_one_that_it_is_told() -> None:
    documents = render({"fullnameOverride": "second"})
    spec = pod_spec(one(documents, "Deployment"))
    assert spec is not None
    assert env(spec["containers"][0])["JOBYARD_OPERATOR_LEASE_NAME"] == "second-operator"
    assert one(documents, "Role")["rules"][1]["resourceNames"] == ["second-operator"]


def test_two_replicas_on_different_nodes_where_there_are_some() -> None:
    deployment = one(render(), "Deployment")
    assert deployment["spec"]["replicas"] == 2
    spec, _ = operator()
    [preference] = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preference["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert {each["whenUnsatisfiable"] for each in spec["topologySpreadConstraints"]} == {"ScheduleAnyway"}


def test_all_that_people_add_arrives() -> None:
    spec, container = operator(EVERYTHING)
    added = EVERYTHING["operator"]
    assert container["image"] == "registry.example:5000/jobyard@sha256:" + "0" * 64
    assert container["imagePullPolicy"] == "Always"
    assert env(container)["TZ"] == "Europe/Berlin"
    assert container["envFrom"] == added["extraEnvFrom"]
    assert added["extraVolumeMounts"][0] in container["volumeMounts"]
    assert added["extraVolumes"][0] in spec["volumes"]
    for name in ("nodeSelector", "tolerations", "priorityClassName"):
        assert spec[name] == added[name]
    assert spec["imagePullSecrets"] == EVERYTHING["imagePullSecrets"]
    template = one(render(EVERYTHING), "Deployment", "jobyard-operator")["spec"]["template"]["metadata"]
    assert added["podLabels"].items() <= template["labels"].items()
    assert template["annotations"] == added["podAnnotations"]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
        ("topologySpreadConstraints", [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]),
    ],
)
def test_what_is_given_goes_in_place_of_ours(name: str, own: Any) -> None:
    spec, _ = operator({"operator": {name: own}})
    assert spec[name] == own


def test_prometheus_finds_its_metrics() -> None:
    documents = render(EVERYTHING)
    monitor, service = one(documents, "ServiceMonitor"), one(documents, "Service", "jobyard-operator")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint == {"port": service["spec"]["ports"][0]["name"], "path": "/metrics", "interval": "30s"}


def test_network_policies_let_through_what_is_needed() -> None:
    documents = render(EVERYTHING)
    egress = {
        name: [
            sorted(str(port["port"]) for port in rule.get("ports", []))
            for rule in one(documents, "NetworkPolicy", f"jobyard-{name}")["spec"]["egress"]
        ]
        for name in ("operator", "web", "valkey")
    }
    assert egress == {
        "operator": [["26379", "443", "53", "53", "6379", "6443"], []],
        "web": [["26379", "53", "53", "6379"], []],
        "valkey": [],
    }
