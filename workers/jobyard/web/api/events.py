"""`/api/events`: server-sent events for dashboards."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Send
from starlette.types import Scope as ASGIScope

from jobyard.web.api.describing import needs, new_router
from jobyard.web.feed import Feed
from jobyard.web.tokens import Scope

router: Final = new_router("events")


#: Seconds after which a client that reads nothing any more is given up.
_SLOWEST_READER: Final = 30.0

_logger: Final = logging.getLogger("jobyard.web")


class EventStream(StreamingResponse):
    """Not collected on the way: events should arrive now. Ends where the client stops reading."""

    media_type = "text/event-stream"

    def __init__(self, content: Any, status_code: int = 200) -> None:
        # The last one is for nginx.
        super().__init__(content, status_code, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events: AsyncGenerator[str] = content

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_SLOWEST_READER):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            _logger.info("A client that stopped reading events is given up.")
        finally:
            # Now, and not when the garbage is collected: it makes room for another listener.
            await self._events.aclose()


@router.get("/api/events", summary="What changes, as it changes", response_class=EventStream, **needs(Scope.READ))
async def stream_events(request: Request) -> EventStream:
    """A stream of server-sent events: `history` first, then `stats` once a second, or `trouble`. It ends when the client leaves
    or the server stops."""
    feed: Feed = request.app.state.feed
    events = feed.listen()
    # The first one here: a problem must become the answer, which it can't once the stream has begun.
    first = await anext(events)

    async def stream() -> AsyncGenerator[str]:
        try:
            yield "retry: 2000\n" + _event(*first)
            async for name, data in events:
                yield _event(name, data)
        finally:
            await events.aclose()

    return EventStream(stream())


def _event(name: str, data: object) -> str:
    # JSON in ASCII has no line breaks, which would end the event.
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
