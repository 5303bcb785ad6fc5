"""The OpenAPI document: it is served, it is the one in `docs/`, and it tells of everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobyard.web.app import document
from web.conftest import Client

DOCS = Path(__file__).parents[2] / "docs"


def operations() -> list[Any]:
    return [
        pytest.param(operation, id=f"{method} {path}")
        for path, some in document()["paths"].items()
        for method, operation in some.items()
    ]


def test_it_is_served(web: Client) -> None:
    answer = web.get("/api/openapi.json")

    assert answer.json == json.loads(json.dumps(document()))
    assert answer.json["openapi"] == "3.1.0"


def test_the_one_in_docs_is_current() -> None:
    """If this fails: jobyard serve openapi > docs/openapi.json"""
    assert json.loads((DOCS / "openapi.json").read_text()) == json.loads(json.dumps(document()))


@pytest.mark.parametrize("operation", operations())
def test_every_route_is_described(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    refusals = {status: said for status, said in operation["responses"].items() if status >= "4"}
    assert {"502", "503"} <= refusals.keys()
    for said in refusals.values():
        assert list(said["content"]) == ["application/problem+json"]
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        bounds = {"maxLength", "pattern", "maximum", "format"}
        assert bounds & schema.keys() or schema["type"] == "boolean", parameter["name"]


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    text = json.dumps(whole)
    for name in {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert name in whole["components"]["schemas"]


def test_every_route_is_in_the_manual() -> None:
    manual = (DOCS / "rest.md").read_text()
    missing = [
        f"{method.upper()} {path}"
        for path, some in document()["paths"].items()
        for method in some
        if f"`{method.upper()} {path.replace('job_id', 'id').replace('batch_id', 'id').replace('queue}', 'name}')}"
        not in manual
    ]
    assert missing == []
