"""The CRDs are what the API server accepts as structural, and the files under manifests/crds are current."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate import validate
from pydantic import BaseModel

from jobyard_operator.resources.crd import SchemaError, definitions, schema

MANIFESTS = Path(__file__).parents[3] / "manifests"
PLURALS = sorted(definitions())


def walk(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All schemas inside this one, with their paths."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if isinstance(node.get("additionalProperties"), dict):
        yield from walk(node["additionalProperties"], f"{path}.*")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")


def nodes(plural: str) -> list[tuple[str, dict[str, Any]]]:
    [version] = definitions()[plural]["spec"]["versions"]
    return list(walk(version["schema"]["openAPIV3Schema"]))


def test_the_files_are_current() -> None:
    texts: dict[Path, str] = runpy.run_path(str(MANIFESTS / "generate"))["texts"]()
    stale = [path.name for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make manifests`"


@pytest.mark.parametrize("plural", PLURALS)
def test_kubernetes_knows_all_that_the_definition_says(plural: str) -> None:
    validate(definitions()[plural], "1.37", strict=True)


@pytest.mark.parametrize("plural", PLURALS)
def test_schemas_are_structural(plural: str) -> None:
    for path, node in nodes(plural):
        any_type = node.get("x-kubernetes-int-or-string") or path == ".spec.template.args[]"
        assert ("type" in node) != bool(any_type), path
        assert not {"$ref", "anyOf", "oneOf", "allOf", "nullable", "title", "const"} & node.keys(), path
        assert not {"properties", "additionalProperties"} <= node.keys(), path


@pytest.mark.parametrize("plural", PLURALS)
def test_everything_is_described_and_bounded(plural: str) -> None:
    for path, node in nodes(plural):
        if path.count(".") >= 2 and not path.endswith((".*", "[]")):
            assert node.get("description", "").endswith("."), path
        if node.get("type") == "string" and "enum" not in node and path.startswith((".spec", ".status")):
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if isinstance(node.get("additionalProperties"), dict):
            assert "maxProperties" in node, path


@pytest.mark.parametrize("plural", PLURALS)
def test_names_follow_the_conventions(plural: str) -> None:
    for path, node in nodes(plural):
        assert all(value[0].isupper() for value in node.get("enum", [])), path
        assert node.get("type") != "number", f"{path}: no floats in resources"
        for rule in node.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 20, path


@pytest.mark.parametrize("plural", PLURALS)
def test_defaults_fit_their_own_schema(plural: str) -> None:
    for path, node in nodes(plural):
        if isinstance(node.get("default"), int) and not isinstance(node["default"], bool):
            assert node.get("minimum", node["default"]) <= node["default"] <= node.get("maximum", 2**31), path
        if "enum" in node and "default" in node:
            assert node["default"] in node["enum"], path


def test_rules_can_be_tried_on_an_empty_default() -> None:
    # The API server does, and refuses the whole definition where a rule reads a field that is not there.
    for path, node in nodes("jobqueues"):
        for rule in node.get("x-kubernetes-validations", []) if node.get("default") == {} else []:
            read = set(re.findall(r"self\.(\w+)", rule["rule"]))
            assert read == set(re.findall(r"has\(self\.(\w+)\)", rule["rule"])), path


def test_kubectl_scale_finds_its_paths() -> None:
    [version] = definitions()["jobqueues"]["spec"]["versions"]
    paths = {path for path, _ in nodes("jobqueues")}
    assert set(version["subresources"]["scale"].values()) <= paths


def test_printer_columns_name_fields_that_exist() -> None:
    for plural in PLURALS:
        [version] = definitions()[plural]["spec"]["versions"]
        paths = {path for path, _ in nodes(plural)}
        for column in version["additionalPrinterColumns"]:
            path = column["jsonPath"].replace("[0]", "").replace('[?(@.type=="Ready")]', "[]")
            assert path in paths or path.startswith(".metadata."), column


def test_a_limit_on_an_optional_field_reaches_the_schema() -> None:
    found = dict(nodes("jobqueues"))
    assert found[".spec.policy.concurrency"]["minimum"] == 1
    assert found[".spec.worker.resources.requests"]["maxProperties"] == 16
    assert found[".spec.scaling"]["default"] == {}


def test_what_kubernetes_cannot_express_is_refused() -> None:
    class Union(BaseModel):
        field: int | list[int]

    with pytest.raises(SchemaError, match="union"):
        schema(Union)
