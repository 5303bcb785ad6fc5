"""Rights, exactly: the operator gets what it needs where it looks after queues, and nothing else anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.chart.settings import ALL, NAMESPACED

from support.chart import NAMESPACE, Document, one, render

#: (group, resource, verbs). Secrets by name only: who can list them can read them all.
WATCHING = {
    ("jobyard.dev", "jobqueues", "get list patch watch"),
    ("jobyard.dev", "jobschedules", "get list patch watch"),
    ("jobyard.dev", "jobqueues/status", "get patch update"),
    ("jobyard.dev", "jobschedules/status", "get patch update"),
    ("jobyard.dev", "deadjobs", "create delete get list patch watch"),
    ("apps", "deployments", "create delete get list patch watch"),
    ("apps", "deployments/scale", "get patch update"),
    ("", "pods", "get list patch watch"),
    ("policy", "poddisruptionbudgets", "create delete get list patch watch"),
    ("events.k8s.io", "events", "create patch"),
    ("", "secrets", "get"),
    ("", "namespaces", "get"),
}


def rules(role: Document) -> set[tuple[str, str, str]]:
    return {
        (group, resource, " ".join(sorted(rule["verbs"])))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_all_namespaces_are_one_cluster_role() -> None:
    documents = render()
    role, binding = one(documents, "ClusterRole", f"{NAMESPACE}:jobyard-operator"), one(documents, "ClusterRoleBinding")
    assert rules(role) == WATCHING
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "jobyard-operator", "namespace": NAMESPACE}]


def test_some_namespaces_are_a_role_in_each_and_nothing_of_the_cluster() -> None:
    documents = render(NAMESPACED)
    assert not [each for each in documents if each["kind"] == "ClusterRoleBinding"]
    unbound = [each for each in documents if each["kind"] == "ClusterRole"]
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in unbound} == {"people"}
    for kind in ("Role", "RoleBinding"):
        found = {each["metadata"]["namespace"] for each in documents if each["kind"] == kind}
        assert found == {"shop", "billing", NAMESPACE}
    for document in documents:
        if document["kind"] == "Role" and document["metadata"]["namespace"] != NAMESPACE:
            assert rules(document) == WATCHING


def test_leases_in_its_own_namespace_only() -> None:
    role = one(render(), "Role")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert role["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["jobyard-operator"],
            "verbs": ["get", "update", "patch"],
        },
    ]


@pytest.mark.parametrize("values", ALL.values(), ids=ALL)
def test_no_wildcards_and_no_roles_of_the_cluster(values: dict[str, Any]) -> None:
    documents = render(values)
    made = {each["metadata"]["name"] for each in documents if each["kind"] in ("Role", "ClusterRole")}
    for document in documents:
        for rule in document.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        if document["kind"].endswith("Binding"):
            assert document["roleRef"]["name"] in made
            assert [each["kind"] for each in document["subjects"]] == ["ServiceAccount"]


def test_people_who_view_or_edit_a_namespace_do_so_with_its_queues() -> None:
    documents = render()
    view, edit = (one(documents, "ClusterRole", f"{NAMESPACE}:jobyard-{name}") for name in ("view", "edit"))
    aggregated = {
        name: {label for label in role["metadata"]["labels"] if "aggregate-to-" in label}
        for name, role in {"view": view, "edit": edit}.items()
    }
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert aggregated == {
        "view": {f"{prefix}view", f"{prefix}edit", f"{prefix}admin"},
        "edit": {f"{prefix}edit", f"{prefix}admin"},
    }
    assert {verbs for _, _, verbs in rules(view)} == {"get list watch"}
    assert {group for group, _, _ in rules(view) | rules(edit)} == {"jobyard.dev"}
    assert not {resource for _, resource, _ in rules(edit) if resource.endswith("/status")}


def test_none_of_it_where_somebody_else_gives_the_rights() -> None:
    documents = render({"rbac": {"create": False, "aggregate": False}})
    assert not [each for each in documents if "Role" in each["kind"]]
