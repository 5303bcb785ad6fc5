"""Names of those who call: producers by thread, workers by process. Each numbers its calls, so that none counts twice."""

from __future__ import annotations

import secrets


def new_token() -> str:
    """A name that nobody had before. Short, since a worker's stands at every running job."""
    return secrets.token_hex(6)
