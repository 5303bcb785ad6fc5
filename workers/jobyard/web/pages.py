"""The dashboard's files, held in memory: a request can name one of them and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobyard.web.problems import Kind, Problem

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


@cache
def _dashboard() -> dict[str, _File]:
    found: dict[str, _File] = {}

    def collect(directory: Traversable, prefix: str) -> None:
        for entry in directory.iterdir():
            if entry.is_dir():
                collect(entry, f"{prefix}{entry.name}/")
                continue
            media_type = _TYPES.get("." + entry.name.rpartition(".")[2])
            if media_type is not None:
                content = entry.read_bytes()
                found[prefix + entry.name] = _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    collect(files("jobyard.web") / "dashboard", "")
    return found


async def page(request: Request) -> Response:
    """One of the dashboard's files."""
    name = request.path_params.get("name", "index.html")
    file = _dashboard().get(name)
    if file is None:
        raise Problem(Kind.NOT_FOUND, f"There is nothing at {request.url.path[:200]!r}.")
    # Checked every time, so that an update of Jobyard is seen at once.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if file.etag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)


routes: Final = [Route("/", page), Route("/dashboard/{name:path}", page)]
