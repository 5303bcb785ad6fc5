"""`/api/events`: server-sent events for dashboards."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from jobyard.web.feed import Feed


async def events(request: Request) -> Response:
    """The feed, until the client leaves or the server stops."""
    feed: Feed = request.app.state.feed
    events = feed.listen()
    # The first one here: a problem must become the answer, which it can't once the stream has begun.
    first = await anext(events)

    async def stream() -> AsyncIterator[str]:
        try:
            yield "retry: 2000\n" + _event(*first)
            async for name, data in events:
                yield _event(name, data)
        finally:
            await events.aclose()

    # The last one tells nginx not to collect what should arrive now.
    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


def _event(name: str, data: object) -> str:
    # JSON in ASCII has no line breaks, which would end the event.
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


routes: Final = [Route("/api/events", events)]
