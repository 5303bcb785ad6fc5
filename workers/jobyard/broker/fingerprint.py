"""What makes two failures the same: the exception's type, the place in the application, and what its message says but for the
particulars. Pure.

The place has no line number, so that a failure keeps its group when the code around it changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import sysconfig
from types import CodeType, FrameType
from typing import Final, NamedTuple

import dramatiq

#: The failures that are told by the broker and not by an exception have fixed fingerprints, which are their names.
WORKER_DIED: Final = "WorkerDied"

#: Of a message so many characters count, and so many of its template are kept.
_READ: Final = 500
_KEPT: Final = 200

_particulars: Final = re.compile(
    r"""
      (?P<url>   \b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s'"<>]+ )
    | (?P<email> \b[\w.+-]+@[\w-]+(?:\.[\w-]+)+ )
    | (?P<text>  "[^"\n]*" | (?<!\w)'[^'\n]*'(?!\w) | `[^`\n]*` )
    | (?P<uuid>  \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b )
    | (?P<path>  (?<![\w.])(?:[A-Za-z]:)?(?:[\w.@+~-]*[\\/])+[\w.@+~-]* )
    | (?P<number> (?:(?<!\w)[-+])?\b\w*\d\w*(?:[.,:+-]+\w*\d\w*)* )
    | (?P<hex>   \b[a-fA-F]{8,}\b )
    """,
    re.VERBOSE,
)
_STANDS_FOR: Final = {
    "url": "<url>",
    "email": "<email>",
    "text": "<text>",
    "uuid": "#",
    "path": "<path>",
    "number": "#",
    "hex": "#",
}


class Fingerprint(NamedTuple):
    """Which failure it is: `group` names it, and is made of the type and the others."""

    group: str
    place: str
    template: str


def fingerprint(error: BaseException, message: str) -> Fingerprint:
    """Of an exception that was raised, with its text."""
    place, template = place_of(error), template_of(message)
    return Fingerprint(group_of(type(error).__name__, place, template), place, template)


def group_of(error: str, place: str, template: str) -> str:
    """The fingerprint: 16 hexadecimal digits."""
    text = "\0".join((error, place, template))
    return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()


def template_of(message: str) -> str:
    """The message without its particulars: numbers, identifiers, quoted texts, paths, addresses."""
    text = _particulars.sub(lambda found: _STANDS_FOR[found.lastgroup or "number"], message[:_READ])
    return " ".join(text.split())[:_KEPT]


def place_of(error: BaseException) -> str:
    """`module:function` of the innermost frame in the application's code; '' where there is no traceback.

    That is code which is neither of the standard library, nor installed, nor ours; and whatever belongs to the package of the
    actor, which may be installed as well. Where nothing is, it is the innermost frame.
    """
    frames = []
    at = error.__traceback__
    while at is not None:
        frames.append(at.tb_frame)
        at = at.tb_next
    if not frames:
        return ""
    # The outermost frame that is not of the machinery is the actor's.
    package = next((_package(frame) for frame in frames if not _is_machinery(frame)), "")
    for frame in reversed(frames):
        if not _is_machinery(frame) and (_package(frame) == package or not _is_installed(frame)):
            return _name(frame)
    return _name(frames[-1])


def _name(frame: FrameType) -> str:
    code: CodeType = frame.f_code
    return f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}"[:_KEPT]


def _package(frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__", ""))
    # Our own jobs are an application.
    return "jobyard.jobs" if module.startswith("jobyard.jobs.") else module.partition(".")[0]


_STANDARD: Final = tuple(
    os.path.join(os.path.realpath(path), "")  # noqa: PTH118 - compared as text, for each frame
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
)
_DRAMATIQ: Final = os.path.join(os.path.dirname(os.path.realpath(dramatiq.__file__)), "")  # noqa: PTH118, PTH120 - likewise


def _is_installed(frame: FrameType) -> bool:
    return "site-packages" in frame.f_code.co_filename or "dist-packages" in frame.f_code.co_filename


def _is_machinery(frame: FrameType) -> bool:
    """Of the standard library, Dramatiq, or what is ours and around jobs."""
    if _package(frame) in ("jobyard", "dramatiq"):
        return True
    file = frame.f_code.co_filename
    return file.startswith("<frozen") or (file.startswith((*_STANDARD, _DRAMATIQ)) and not _is_installed(frame))
