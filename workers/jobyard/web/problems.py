"""Every answer that says no, as RFC 9457 problem details: `{"type", "title", "status", "detail", …}`."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Final

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


class Kind(Enum):
    """What can be wrong: HTTP status and title. The name, in lower case with hyphens, ends the problem's `type`."""

    MALFORMED_JSON = 400, "The body is not JSON"
    INVALID_REQUEST = 422, "The request has fields that are wrong"
    UNAUTHORIZED = 401, "A token is needed"
    CROSS_ORIGIN = 403, "Another site may not do this"
    INSUFFICIENT_SCOPE = 403, "The token is not good for this"
    NOT_FOUND = 404, "There is nothing at this address"
    UNKNOWN_JOB = 404, "There is no such job"
    UNKNOWN_QUEUE = 404, "There is no such queue"
    UNKNOWN_BATCH = 404, "There is no such batch"
    METHOD_NOT_ALLOWED = 405, "This method does not work here"
    BODY_TOO_SLOW = 408, "The body took too long"
    WRONG_STATE = 409, "The job is in a state in which this is not possible"
    DUPLICATE = 409, "Another job has this unique key"
    BODY_TOO_LARGE = 413, "The body is too large"
    JOB_TOO_LARGE = 413, "The job is too large"
    NOT_JSON = 415, "Only JSON is accepted"
    WRONG_HOST = 421, "This host name is not served here"
    RATE_LIMITED = 429, "The queue accepts no more jobs now"
    INTERNAL = 500, "Something went wrong here"
    REDIS_REFUSES = 502, "Redis refuses to do this"
    REDIS_UNAVAILABLE = 503, "Redis can't be reached"
    OVERLOADED = 503, "Too much is going on at once"
    REDIS_FULL = 507, "Redis is out of memory"

    def __init__(self, status: int, title: str) -> None:
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The problem's `type`."""
        return "urn:jobyard:problem:" + self.name.lower().replace("_", "-")


class Problem(Exception):
    """Raised anywhere while a request is answered; becomes the answer.

    Args:
        kind: what is wrong.
        detail: what exactly, and what to do.
        headers: what else the answer's head says.
        more: further members, `errors` for one.
    """

    def __init__(self, kind: Kind, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": self.kind.uri,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.more,
        }
        # In ASCII: a detail may quote what was sent, lone surrogates included.
        return Response(json.dumps(body), self.kind.status, self.headers, MEDIA_TYPE)
