"""The workers of a yard: one `jobyard worker` with its processes, told by its environment where everything is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from jobyard_operator.local.child import Child
from jobyard_operator.local.directory import Directory

#: The module of the built-in job types.
BUILT_IN: Final = "jobyard.jobs"
#: Exit statuses of `jobyard worker` that say: as it is, it can't start.
_CANT_START: Final = frozenset({2, 3})
SENDER: Final = "Jobyard <jobyard@example.org>"


def environment(
    base: Mapping[str, str], directory: Directory, *, redis_url: str, mail_port: int, picture_port: int
) -> dict[str, str]:
    """The environment in which the yard's jobs run. Pure.

    What the caller has set stays, except where jobs are kept and where mail goes: that is what a yard is for.
    """
    kept = {name: value for name, value in base.items() if not name.startswith("JOBYARD_SMTP_")}
    allowed = [kept.get("JOBYARD_DOWNLOAD_ALLOW", ""), f"127.0.0.1:{picture_port}"]
    return {
        "JOBYARD_STORAGE_URL": directory.storage.as_uri(),
        "JOBYARD_REPORTS_SAMPLE_DATABASE": str(directory.reports_database),
        **kept,
        "JOBYARD_REDIS_URL": redis_url,
        "JOBYARD_SMTP_HOST": "127.0.0.1",
        "JOBYARD_SMTP_PORT": str(mail_port),
        "JOBYARD_SMTP_SECURITY": "none",
        "JOBYARD_SMTP_FROM_ADDRESS": SENDER,
        "JOBYARD_DOWNLOAD_ALLOW": ", ".join(one for one in allowed if one),
    }


def as_shell(changed: Mapping[str, str], base: Mapping[str, str]) -> str:
    """Those variables that are not in `base` already, for a shell to read: `set -a; . FILE; set +a`."""
    lines = [f"{name}={_quoted(value)}" for name, value in sorted(changed.items()) if base.get(name) != value]
    return "# Where this yard is. Read it with:  set -a; . FILE; set +a\n" + "\n".join(lines) + "\n"


def workers(
    modules: Sequence[str],
    log: Path,
    variables: Mapping[str, str],
    *,
    processes: int | None,
    threads: int | None,
    queues: str | None,
    on_event: Callable[[str], None],
) -> Child:
    """`jobyard worker`, not yet started. None: as it decides itself."""
    command = [sys.executable, "-m", "jobyard.cli", "worker", *modules, "--log-format", "text"]
    for option, value in (("--processes", processes), ("--threads", threads), ("--queues", queues)):
        if value is not None:
            command += [option, str(value)]
    return Child("jobyard worker", command, log, environment=variables, hopeless=_CANT_START, on_event=on_event)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
