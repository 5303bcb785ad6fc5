"""The API's OpenAPI 3.1 document: at `/api/openapi.json`, and by `jobyard serve openapi`, which writes `docs/openapi.json`."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from jobyard.web.api.describing import responses_of
from jobyard.web.models import Problem
from jobyard.web.problems import Kind

_DESCRIPTION: Final = (
    "Background jobs: look at them, enqueue, cancel and retry them. Times are ISO 8601 in UTC. Whatever is refused is "
    "answered with problem details (RFC 9457)."
)


def describe(app: FastAPI) -> None:
    """Give the application its document."""
    app.openapi = partial(_document, app)  # type: ignore[method-assign]  # So says FastAPI's documentation.


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title="Jobyard",
            version=version("jobyard"),
            description=_DESCRIPTION,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        components = document.setdefault("components", {})
        components["schemas"]["Problem"] = Problem.model_json_schema()
        for operations in document["paths"].values():
            for operation in operations.values():
                _correct(operation)
        for name in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(name, None)
        components["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of scope read, operate or admin. Without any token the server listens on a "
                "loopback address only, and lets in everybody there.",
            }
        }
        app.openapi_schema = document
    return app.openapi_schema


def _correct(operation: dict[str, Any]) -> None:
    """FastAPI's own answer to wrong fields is replaced by ours; and a parameter that need not be given can't be null."""
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
        responses.update({str(status): said for status, said in responses_of([Kind.INVALID_REQUEST]).items()})
    operation["responses"] = dict(sorted(responses.items()))
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
        if kinds:
            parameter["schema"] = {**kinds[0], **schema}
        parameter["schema"].pop("title", None)
        description = parameter["schema"].pop("description", None)
        if description is not None:
            parameter["description"] = description
