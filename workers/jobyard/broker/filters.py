"""Which jobs are meant: a filter for searching, and for what is done to many jobs at once. Pure: it looks at one job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

from jobyard.broker.keys import check_queue_name
from jobyard.broker.states import State

if TYPE_CHECKING:
    from jobyard.broker.inspector import Job

_STATES: Final = frozenset(get_args(State))
_TIMES: Final = ("created_after", "created_before", "ended_after", "ended_before")
_TEXTS: Final = ("actor", "tag", "error", "group", "text")
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant. All that is given must fit; nothing given: all jobs.

    Attributes:
        queue: the name of a queue, or several. None: all.
        states: of `Job.state`. Empty: all; a bulk action then takes those that it is for.
        actor: name of the actor.
        tag: one of the job's tags.
        error: name of the last error's type, or a part of its message in upper or lower case.
        group: fingerprint of the failure group of the last error.
        created_after, created_before: created at that time or later; before it. In ms since 1970.
        ended_after, ended_before: the same of the end: completed, died or cancelled.
        argument: by name, by position from "0", or by a path into them ("order.id", "items.0"), the value: the same JSON value,
            or the same text. As the job was sent: what was sent by position is not found by its name.
        text: a part of the arguments, written as JSON, in upper or lower case.

    Raises:
        ValueError: it can't fit any job by mistake: an unknown state, an empty text, what can't be a queue's name.
    """

    queue: str | tuple[str, ...] | None = None
    states: tuple[State, ...] = ()
    actor: str | None = None
    tag: str | None = None
    error: str | None = None
    group: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    ended_after: int | None = None
    ended_before: int | None = None
    argument: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None

    def __post_init__(self) -> None:
        for name in self.queues:
            check_queue_name(name)
        if not _STATES.issuperset(self.states):
            raise ValueError(f"states: some of {', '.join(get_args(State))}; not {self.states!r}")
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise ValueError(f"{name}: a text that is not empty, not {value!r}")
        for name in _TIMES:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or not 0 <= value < 2**53):
                raise ValueError(f"{name}: a time in milliseconds since 1970, not {value!r}")
        if not all(isinstance(path, str) and path for path in self.argument):
            raise ValueError(f"argument: names, positions or paths with their values, not {self.argument!r}")

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the queues that are meant; empty: all."""
        if self.queue is None:
            return ()
        return (self.queue,) if isinstance(self.queue, str) else tuple(self.queue)

    @property
    def looks_inside(self) -> bool:
        """Whether it asks for more than a job's queue, state and end, which is known without reading the job."""
        return bool(self.argument) or any(
            getattr(self, name) is not None for name in (*_TEXTS, "created_after", "created_before")
        )

    @property
    def needs_error(self) -> bool:
        """Whether the last error has to be read."""
        return self.error is not None or self.group is not None

    def fits(self, job: Job) -> bool:
        """Whether this job is meant."""
        if (self.queues and job.queue not in self.queues) or (self.states and job.state not in self.states):
            return False
        if self.actor is not None and job.actor != self.actor:
            return False
        if self.tag is not None:
            tags = job.options.get("tags")
            if not isinstance(tags, list | tuple) or self.tag not in tags:
                return False
        return (
            _is_within(job.created_at, self.created_after, self.created_before)
            and _is_within(job.ended_at, self.ended_after, self.ended_before)
            and (not self.needs_error or self._fits_error(job.last_error))
            and all(has_argument(job.args, job.kwargs, path, value) for path, value in self.argument.items())
            and (self.text is None or _contains(job.args, job.kwargs, self.text))
        )

    def _fits_error(self, last: dict[str, Any]) -> bool:
        if self.group is not None and last.get("group") != self.group:
            return False
        if self.error is None or not last:
            return self.error is None
        return self.error == last.get("error") or self.error.casefold() in str(last.get("message", "")).casefold()


def has_argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], path: str, value: Any) -> bool:
    """Whether the argument at that path has that value, as JSON or as text."""
    return any(_is_same(found, value) for found in _at(args, kwargs, path))


def _at(args: tuple[Any, ...], kwargs: Mapping[str, Any], path: str) -> Iterator[Any]:
    head, dot, rest = path.partition(".")
    if head.isdecimal():
        found = _step(args, head)
        if found is not _ABSENT:
            yield from _inside(found, rest if dot else None)
    yield from _inside(kwargs, path)


def _inside(value: Any, path: str | None) -> Iterator[Any]:
    """What lies there. More than one thing may, since a name can have a dot in it."""
    if path is None:
        yield value
        return
    for end in [at for at, letter in enumerate(path) if letter == "."] + [len(path)]:
        found = _step(value, path[:end])
        if found is not _ABSENT:
            yield from _inside(found, path[end + 1 :] if end < len(path) else None)


def _step(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, _ABSENT)
    if isinstance(value, list | tuple) and name.isdecimal() and len(name) < 10 and int(name) < len(value):
        return value[int(name)]
    return _ABSENT


def _is_same(found: Any, value: Any) -> bool:
    return _as_text(found) == _as_text(value) or _as_json(found) == _as_json(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _as_json(value)


def _as_json(value: Any) -> str:
    # Keys in one order, and 5.0 as 5: so equal values have one text. (That True and 1 are equal is Python's idea, not JSON's.)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # An encoder of the application may have made anything of the arguments.
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str, skipkeys=True)


def _contains(args: tuple[Any, ...], kwargs: Mapping[str, Any], text: str) -> bool:
    written = "\n".join(_as_json(one) for one in (*args, kwargs)).casefold()
    # As people see it, or as it is written where a quote or a line end is escaped.
    return text.casefold() in written or json.dumps(text, ensure_ascii=False)[1:-1].casefold() in written


def _is_within(time: int | None, after: int | None, before: int | None) -> bool:
    if after is None and before is None:
        return True
    return time is not None and (after is None or time >= after) and (before is None or time < before)
