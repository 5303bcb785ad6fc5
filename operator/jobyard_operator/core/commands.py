"""Commands that come as annotations of a JobQueue: what `retry-dead` and `discard-dead` mean.

    jobyard.dev/retry-dead: all
    jobyard.dev/retry-dead: 4be1f0c2-…, 77aa…                        these jobs
    jobyard.dev/retry-dead: actor=send_email error=Timeout limit=100 rate=5
    jobyard.dev/discard-dead: older-than:7d

All that is given must fit. A value is handled once; what follows a `#` only makes it another one: `all #2`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final, Literal

ANNOTATIONS: Final[dict[str, Literal["retry", "discard"]]] = {
    "jobyard.dev/retry-dead": "retry",
    "jobyard.dev/discard-dead": "discard",
}
LONGEST: Final = 1024
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_TERM: Final = re.compile(r"([a-z-]+)[=:](.*)", re.DOTALL)
_TERMS: Final = "actor=NAME, error=TYPE-OR-TEXT, limit=NUMBER, rate=JOBS-A-SECOND, older-than:TIME"


class CommandError(ValueError):
    """The annotation can't be understood; the message says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadCommand:
    """What to do with which dead letters.

    Attributes:
        ids: these jobs; empty: all that the rest fits.
        actor, error: of this actor; with this type of error, or this text in its message.
        older_than: seconds since they died, at least.
        limit: so many at most, the oldest first. None: all.
        rate: so many a second. None: as fast as it goes.
    """

    action: Literal["retry", "discard"]
    ids: tuple[str, ...] = ()
    actor: str | None = None
    error: str | None = None
    older_than: float | None = None
    limit: int | None = None
    rate: float | None = None


def is_new(value: str | None, handled: str | None) -> bool:
    """Whether an annotation is a command that was not handled yet; `handled` is the token in status."""
    return value is not None and value[:LONGEST] != handled


def parse(annotation: str, value: str) -> DeadCommand:
    """What the annotation's value means.

    Raises:
        CommandError: it means nothing, or not one thing.
    """
    action = ANNOTATIONS[annotation]
    if len(value) > LONGEST:
        raise CommandError(f"{annotation} is longer than {LONGEST} characters: give fewer ids at once")
    words = _words(annotation, value)
    ids: list[str] = []
    terms: dict[str, str] = {}
    everything = False
    for word in words:
        found = _TERM.fullmatch(word)
        if word == "all":
            everything = True
        elif found and found[1] in ("actor", "error", "limit", "rate", "older-than"):
            if found[1] in terms:
                raise CommandError(f"{annotation}: {found[1]} is given twice")
            terms[found[1]] = found[2]
        elif "=" not in word and _JOB_ID.fullmatch(word):
            ids.append(word)
        else:
            raise CommandError(f"{annotation}: {word!r} is neither a job's id nor one of {_TERMS}; or say: all")
    if not (everything or ids or terms):
        raise CommandError(f"{annotation} is empty: say all, ids, or some of {_TERMS}")
    chosen = terms.keys() - {"rate"}
    if ids and (everything or chosen):
        raise CommandError(f"{annotation}: give ids, or what jobs must fit, not both")
    if not (everything or ids or terms.keys() - {"rate", "limit"}):
        raise CommandError(
            f"{annotation}: limit and rate don't say which jobs are meant; add all, actor=, error= or older-than:"
        )
    return DeadCommand(
        action=action,
        ids=tuple(dict.fromkeys(ids)),
        actor=_text(annotation, terms, "actor"),
        error=_text(annotation, terms, "error"),
        older_than=_duration(annotation, terms.get("older-than")),
        limit=_limit(annotation, terms.get("limit")),
        rate=_rate(annotation, terms.get("rate")),
    )


def _words(annotation: str, value: str) -> list[str]:
    lexer = shlex.shlex(value, posix=True, punctuation_chars=False)
    lexer.whitespace = ", \t\r\n"
    lexer.whitespace_split = True
    lexer.commenters = "#"
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise CommandError(f"{annotation}: a quotation mark is not closed") from error


def _text(annotation: str, terms: dict[str, str], name: str) -> str | None:
    text = terms.get(name)
    if text == "":
        raise CommandError(f"{annotation}: {name}= needs a value")
    return text


def _duration(annotation: str, text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if not found:
        raise CommandError(
            f"{annotation}: older-than:{text} is no time; write for instance older-than:7d (s, m, h, d, w)"
        )
    return float(int(found[1]) * _UNITS[found[2]])


def _limit(annotation: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise CommandError(f"{annotation}: limit={text} is no whole number from 1")
    return int(text)


def _rate(annotation: str, text: str | None) -> float | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or float(text) == 0:
        raise CommandError(f"{annotation}: rate={text} is no number of jobs a second, for instance rate=5 or rate=0.5")
    return float(text)
