"""How the terminal says what has happened. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from jobyard.broker.inspector import Job
from jobyard_operator.local.endings import Ending
from jobyard_operator.local.samples import sample_name

FileOf = Callable[[str], Path | None]

_LONGEST: Final = 160
_LONGEST_LABEL: Final = 24


def took(ending: Ending) -> str:
    """How long the last attempt ran."""
    started = ending.job.started_at
    return "" if started is None else duration(max(0, ending.at - started) / 1000)


def duration(seconds: float) -> str:
    """`86 ms`, `4.2 s`, `3 min 20 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def size(count: int) -> str:
    """`512 bytes`, `12.3 kB`, `4.5 MB`."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def result(ending: Ending, mail_file: FileOf) -> str:
    """What came of it.

    Args:
        mail_file: the file that holds the e-mail with this Message-ID.
    """
    job = ending.job
    if ending.kind == "cancelled":
        return "cancelled"
    if ending.kind in ("dead", "failed"):
        last = job.last_error
        said = printable(f"{last.get('error', 'unknown')}: {last.get('message', '')}")
        return said if ending.kind == "dead" else f"attempt {last.get('attempt', job.attempts)}: {said}"
    retried = f"in attempt {job.attempts}: " if job.attempts > 1 else ""
    return retried + _of_value(_decoded(job), mail_file)


def label(job: Job) -> str:
    """How a job is called where there is little room: sample jobs by their name, others by the beginning of their id."""
    name = sample_name(job.id)
    return name if name is not None else printable(job.id, _LONGEST_LABEL)


def progress(job: Job) -> tuple[float, str]:
    """How far it is, from 0 to 100, and what it said."""
    said = job.progress or {}
    percent = said.get("percent")
    return float(percent) if isinstance(percent, int | float) else 0.0, printable(str(said.get("message", "")))


def printable(text: str, longest: int = _LONGEST) -> str:
    """One line of it. Ids, errors and results are whatever clients make of them: no control character reaches the terminal."""
    line = "".join(one if one.isprintable() else " " for one in text[: 2 * longest])
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def near(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _of_value(value: Any, mail_file: FileOf) -> str:
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and isinstance(value.get("bytes"), int):
            return f"{_about(value)}{size(value['bytes'])} → {_place(value['url'])}"
        if isinstance(value.get("message_id"), str) and isinstance(value.get("accepted"), list):
            recipients = value["accepted"]
            to = str(recipients[0]) if len(recipients) == 1 else f"{len(recipients)} recipients"
            path = mail_file(value["message_id"])
            return f"to {to}, {size(path.stat().st_size)} → {near(path)}" if path is not None else f"to {to}"
    return "done" if value is None else printable(json.dumps(value, ensure_ascii=False))


def _about(value: dict[str, Any]) -> str:
    if "width" in value and "height" in value:
        return f"{value['width']}×{value['height']}, "
    if "rows" in value:
        return f"{value['rows']:,} rows, "
    return ""


def _place(url: str) -> str:
    parts = urlsplit(url)
    return near(Path(unquote(parts.path))) if parts.scheme == "file" else url


def _decoded(job: Job) -> Any:
    if job.encoded_result is None:
        return None
    try:
        return json.loads(job.encoded_result)
    except ValueError:
        return f"{len(job.encoded_result)} bytes"
