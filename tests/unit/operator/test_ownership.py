"""Fields that somebody else owns are taken out of what is applied, as the API server names them."""

from __future__ import annotations

from jobyard_operator.core.ownership import conflicting, owned_by_others, without

WHOLE = {
    "metadata": {"labels": {"a/b.c": "1"}},
    "spec": {
        "template": {
            "spec": {
                "priority": 1,
                "containers": [
                    {"name": "worker", "image": "shop:1", "env": [{"name": "A", "value": "1"}, {"name": "B"}]},
                    {"name": "side", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                ],
            }
        }
    },
}


def test_the_api_server_names_the_fields() -> None:
    causes = [
        {"reason": "FieldManagerConflict", "message": "…", "field": ".spec.replicas"},
        {"reason": "Other", "field": ".spec.x"},
    ]
    assert conflicting({"causes": causes}) == [".spec.replicas"]
    assert conflicting({}) == []


def test_fields_of_list_items_are_found_by_their_keys() -> None:
    spec = without(
        WHOLE,
        [
            '.spec.template.spec.containers[name="worker"].image',
            '.spec.template.spec.containers[name="worker"].env[name="A"].value',
            '.spec.template.spec.containers[name="side"].ports[containerPort=80,protocol="TCP"]',
            ".spec.template.spec.priority",
        ],
    )["spec"]["template"]["spec"]
    worker, side = spec["containers"]
    assert worker == {"name": "worker", "env": [{"name": "A"}, {"name": "B"}]}
    assert side == {"name": "side", "ports": []}
    assert "priority" not in spec
    assert WHOLE["spec"]["template"]["spec"]["priority"] == 1, "the original is not changed"


def test_names_of_labels_have_dots() -> None:
    assert without(WHOLE, [".metadata.labels.a/b.c"])["metadata"] == {"labels": {}}


def test_what_is_not_there_is_skipped() -> None:
    paths = [".spec.nothing.at.all", '.spec.template.spec.containers[name="x"].image', "", ".metadata.labels.none"]
    assert without(WHOLE, paths) == WHOLE


def test_who_owns_a_field() -> None:
    ours = {"manager": "us", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {}}}}
    theirs = {"manager": "kubectl", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    assert owned_by_others([ours, theirs], "us", "spec", "replicas")
    assert not owned_by_others([ours], "us", "spec", "replicas")
    assert not owned_by_others(
        [ours, {"manager": "x"}, {**theirs, "fieldsV1": {"f:spec": {}}}], "us", "spec", "replicas"
    )
