"""Values that make no sense are refused before anything is installed, by what names them; all others are documented."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.chart import CHART, ROOT, render
from support.kubernetes_tools import ToolFailed

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 2}, "replicas"),
        ({"operator": {"replica": 2}}, "replica"),
        ({"operator": {"replicas": 0}}, "/operator/replicas"),
        ({"operator": {"replicas": "2"}}, "/operator/replicas"),
        ({"operator": {"logLevel": "verbose"}}, "/operator/logLevel"),
        ({"operator": {"extraEnv": {"TZ": "UTC"}}}, "/operator/extraEnv"),
        ({"operator": {"extraEnv": [{"name": "PORT", "value": 8080}]}}, "/operator/extraEnv/0/value"),
        ({"operator": {"resources": {"limit": {}}}}, "/operator/resources"),
        ({"operator": {"resources": {"limits": {"memory": "256 MB"}}}}, "/operator/resources/limits/memory"),
        ({"operator": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "/operator/podDisruptionBudget/maxUnavailable"),
        ({"image": {"tag": 1.10}}, "/image/tag"),
        ({"image": {"tag": "1.4@sha256:00"}}, "/image/tag"),
        ({"image": {"digest": "sha256:00"}}, "/image/digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets/0"),
        ({"watchNamespaces": "shop"}, "/watchNamespaces"),
        ({"watchNamespaces": ["shop", "shop"]}, "/watchNamespaces"),
        ({"watchNamespaces": ["shop,billing"]}, "/watchNamespaces/0"),
        ({"watchNamespaces": ["*"]}, "/watchNamespaces/0"),
        ({"commonLabels": {"build": 7}}, "/commonLabels/build"),
        ({"networkPolicy": {"redisPorts": [0]}}, "/networkPolicy/redisPorts/0"),
        ({"valkey": {"appendfsync": "no"}}, "/valkey/appendfsync"),
        ({"valkey": {"maxmemory": "0"}}, "/valkey/maxmemory"),
        ({"valkey": {"password": "secret"}}, "password"),
        ({"fullnameOverride": "Jobs"}, "/fullnameOverride"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_its_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ToolFailed, match=named):
        render(values)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"serviceAccount": {"create": False}}, "name the account in serviceAccount.name"),
        ({"web": {"enabled": True}}, "web.enabled needs web.tokens.existingSecret"),
        ({"web": {"enabled": True, "tokens": {"existingSecret": "tokens"}}}, "web.enabled needs redis.existingSecret"),
        ({"valkey": {"auth": {"existingSecret": "valkey"}}}, "valkey.enabled is false"),
    ],
)
def test_unsafe_combinations_are_refused_with_what_to_do(values: dict[str, Any], advice: str) -> None:
    with pytest.raises(ToolFailed, match=advice):
        render(values)


def test_it_can_be_part_of_another_chart() -> None:
    # Helm then gives it `global`, whether the other chart has such values or not.
    assert render({"global": {"region": "eu"}}) == render()


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(ToolFailed, match=r">=1\.31"):
        render({}, "--kube-version", "1.30.0")
    assert render({}, "--kube-version", "1.31.0-gke.100")


def in_schema(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all values that the schema allows, down to those that are Kubernetes' own affair."""
    for name, child in node.get("properties", {}).items():
        yield prefix + name
        yield from in_schema(child, f"{prefix}{name}.")


def in_defaults(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    schema = set(in_schema(SCHEMA))
    for name, child in node.items():
        yield prefix + name
        if isinstance(child, dict) and any(path.startswith(f"{prefix}{name}.") for path in schema):
            yield from in_defaults(child, f"{prefix}{name}.")


def test_every_value_is_in_the_schema_in_the_defaults_and_explained() -> None:
    allowed = set(in_schema(SCHEMA)) - {"global"}
    assert allowed == set(in_defaults(DEFAULTS))
    explained = {path for path, _, _ in runpy.run_path(str(ROOT / "charts/generate"))["values"]()}
    leaves = {path for path in allowed if not any(other.startswith(f"{path}.") for other in allowed)}
    # Resources are Kubernetes' own affair, and explained field by field.
    resources = {path for path in leaves if path.endswith(".resources")}
    assert explained == (leaves - resources) | {
        f"{path}.{part}" for path in resources for part in ("requests", "limits")
    }


def test_nothing_else_is_allowed_anywhere() -> None:
    def objects(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if "properties" in node and isinstance(node["properties"], dict):
                yield node
            for child in node.values():
                yield from objects(child)

    assert all(node.get("additionalProperties") is False for node in objects(SCHEMA))
