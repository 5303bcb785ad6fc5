"""Names of those who call: producers by thread, workers by process. Each numbers its calls, so that none counts twice.

The token of a worker in a pod says which pod that is and when the process started: so all jobs of a dead pod are found by their
fences alone, also when no process of it has ever said that it was there. A token stands at every running job, and at those
that have ended and are kept. So it has the pod's name in short: 26 bytes in all, 14 more than without, and never the up to 63
(and 14) that the name itself would take.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_token() -> str:
    """A name that nobody had before."""
    return secrets.token_hex(6)


def worker_token() -> str:
    """A name that no worker process had before. In a pod (where JOBYARD_POD_NAME says its name) it begins as `pod_prefix` says,
    and goes on with the time in milliseconds, to the base of 36, and a dot."""
    pod = os.environ.get("JOBYARD_POD_NAME")
    if not pod:
        return new_token()
    return f"{pod_prefix(pod)}{_base36(int(time.time() * 1000))}.{secrets.token_hex(2)}"


def pod_prefix(pod: str) -> str:
    """How the tokens of all worker processes in this pod begin: 48 bits of its name's hash, and a dot."""
    return hashlib.sha256(pod.encode()).hexdigest()[:12] + "."


def started_at(token: str) -> int | None:
    """When the process with this token started, in ms by its own clock; None: the token doesn't say."""
    parts = token.split(".")
    try:
        return int(parts[1], 36) if len(parts) == 3 else None
    except ValueError:
        return None


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
