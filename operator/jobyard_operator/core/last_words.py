"""The last error in what a container has written before it ended. Kubernetes keeps the end of its log with its status."""

from __future__ import annotations

import json
from typing import Final

#: Characters that are kept: enough for a sentence, and no traceback.
LONGEST: Final = 300
_ERRORS: Final = ("error", "critical")


def last_error(log: str) -> str:
    """The message of the last line that is an error, without line breaks; where no line says so, the last one. '': there is none.

    Args:
        log: lines of JSON as a worker logs them (`level`, `message`), or of anything else. The first may be cut off.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    messages = [_parsed(line) for line in lines]
    errors = [message for level, message in messages if level in _ERRORS]
    said = " ".join((errors or [message for _, message in messages] or [""])[-1].split())
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def _parsed(line: str) -> tuple[str, str]:
    """Level and message; a line that is not of ours has no level."""
    try:
        fields = json.loads(line)
        return str(fields["level"]), str(fields["message"])
    except (ValueError, TypeError, KeyError):
        return "", line
