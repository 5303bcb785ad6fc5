"""What a job may ask for at enqueue besides its priority and delay: a key, uniqueness, a time by which it must start, tags, and
the name of what it depends on.

From the message's options, else from its actor's:

- `key`: whose job it is, a tenant for instance. Limits and turns by key are the queue's policy.
- `unique`: no second job with the same key is accepted while the first one has it. `unique_until` says how long that is:
  `"start"`, `"finish"` (the default) or a number of seconds. With `debounce` a new job replaces one that still waits.
- `expires`: milliseconds (or a timedelta) by which the job must have started; then it becomes a dead letter.
- `deadline`: milliseconds (or a timedelta) after which no attempt starts and a running one is stopped; then it becomes a dead
  letter, too.
- `tags`: up to 16 short texts by which it can be found. On an actor also a function of all arguments that returns them.
- `dependency`: the name of the service outside that it needs, "smtp" for instance. While that fails, its jobs are held.
- `heartbeat_timeout`: milliseconds (or a timedelta) after which a running job that gives no sign of life is interrupted. That is
  the worker's part.
- `idempotency_key`: makes the job's id, so that sending it again gives the first job and its result.

On a message, `key` and `unique` are the text itself. On an actor these two say where to find it: the name of an argument, or a
function of all arguments; `unique=True` takes all arguments together.
"""

from __future__ import annotations

import hashlib
import inspect
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from dramatiq import Actor, Message

OPTIONS: Final = frozenset(
    {"key", "unique", "unique_until", "debounce", "expires", "deadline", "tags", "dependency", "breaker_errors"}
)
LONGEST_KEY: Final = 256
LONGEST_TAG: Final = 64
MOST_TAGS: Final = 16
#: 20 years, in milliseconds.
LONGEST_TIME: Final = 20 * 366 * 86_400_000
#: What a job packs that wishes nothing, where it has to pack something.
_NOTHING: Final = b"\0\0end\0\0\0\0"
#: What is declared here and is not for the scripts.
WORKER_OPTIONS: Final = frozenset({"heartbeat_timeout"})
_NAMESPACE: Final = uuid.UUID("6f6d2f0b-5d0e-4c7e-9d53-6a8f1c1a0c11")


@dataclass(frozen=True, slots=True)
class Wishes:
    """As `arrive.lua` takes them. `until` is `start`, `end`, or milliseconds; `expires` and `deadline` are in milliseconds."""

    key: str = ""
    unique: str = ""
    until: str = "end"
    replace: bool = False
    expires: int | None = None
    deadline: int | None = None
    dependency: str = ""
    tags: tuple[str, ...] = ()

    def pack(self) -> bytes:
        """As one argument of the script; empty where nothing is wished."""
        timed = self.expires is not None or self.deadline is not None
        if not (timed or self.key or self.unique or self.dependency or self.tags):
            return b""
        mode = ("+" if self.replace else "") + self.until
        expires = "" if self.expires is None else str(self.expires)
        deadline = "" if self.deadline is None else str(self.deadline)
        fields = (self.key, self.unique, mode, expires, deadline, self.dependency, "\1".join(self.tags))
        return "\0".join(fields).encode()


def wishes_of(message: Message[Any], actor: Actor[..., Any] | None) -> Wishes | None:
    """What a message asks for; None: nothing.

    Raises:
        ValueError: it asks for what can't be.
    """
    own = message.options
    declared = actor.options if actor is not None else {}
    if not (OPTIONS & own.keys() or OPTIONS & declared.keys()):
        return None
    until = own.get("unique_until", declared.get("unique_until", "finish"))
    expires = own.get("expires", declared.get("expires"))
    deadline = own.get("deadline", declared.get("deadline"))
    return Wishes(
        key=_text("key", own, declared, message, actor),
        unique=_text("unique", own, declared, message, actor),
        until=_until(until),
        replace=bool(own.get("debounce", declared.get("debounce", False))),
        expires=None if expires is None else milliseconds("expires", expires),
        deadline=None if deadline is None else milliseconds("deadline", deadline),
        dependency=_dependency(own.get("dependency", declared.get("dependency"))),
        tags=_tags(own, declared, message),
    )


def in_batch(wishes: bytes, batch_id: str) -> bytes:
    """Packed wishes of a job that belongs to a batch besides."""
    return (wishes or _NOTHING) + b"\0" + batch_id.encode()


def id_for(idempotency_key: str, queue_name: str) -> str:
    """The id of the job that an idempotency key stands for."""
    return str(uuid.uuid5(_NAMESPACE, f"{queue_name}\0{idempotency_key}"))


def _text(
    name: str, own: dict[str, Any], declared: dict[str, Any], message: Message[Any], actor: Actor[..., Any] | None
) -> str:
    if name in own:
        found = own[name]
    else:
        source = declared.get(name)
        if source is None or source is False:
            return ""
        assert actor is not None
        if source is True:
            found = _digest(message)
        elif callable(source):
            found = source(*message.args, **message.kwargs)
        else:
            found = _argument(actor, source, message)
    if found is None:
        return ""
    text = str(found)
    if "\0" in text or text[:1] == "\1" or len(text) > LONGEST_KEY:
        raise ValueError(
            f"{name} of a job is a text of at most {LONGEST_KEY} characters without control characters, not {text[:80]!r}"
        )
    return text


def _digest(message: Message[Any]) -> str:
    content = msgspec.json.encode((message.actor_name, message.args, message.kwargs), order="sorted")
    return hashlib.sha256(content).hexdigest()[:32]


def _argument(actor: Actor[..., Any], name: str, message: Message[Any]) -> Any:
    if name in message.kwargs:
        return message.kwargs[name]
    names = _positions(actor.fn)
    if name in names and names.index(name) < len(message.args):
        return message.args[names.index(name)]
    return None


@lru_cache(maxsize=1024)
def _positions(fn: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(fn).parameters)


def _tags(own: dict[str, Any], declared: dict[str, Any], message: Message[Any]) -> tuple[str, ...]:
    found = own.get("tags")
    if found is None:
        found = declared.get("tags")
        if callable(found):
            found = found(*message.args, **message.kwargs)
    if found is None:
        return ()
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise ValueError(f"tags are a list of texts, not {found!r}")
    tags = tuple(dict.fromkeys(_short_text("a tag", tag) for tag in found))
    if len(tags) > MOST_TAGS:
        raise ValueError(f"a job has at most {MOST_TAGS} tags, not {len(tags)}")
    return tags


def _dependency(found: Any) -> str:
    return "" if found is None else _short_text("dependency", found)


def _short_text(what: str, text: Any) -> str:
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= LONGEST_TAG:
        raise ValueError(f"{what} is a text of 1 to {LONGEST_TAG} printable characters, not {str(text)[:80]!r}")
    return text


def _until(until: Any) -> str:
    if until == "start":
        return "start"
    if until == "finish":
        return "end"
    if isinstance(until, int | float) and not isinstance(until, bool) and until > 0:
        return str(int(until * 1000))
    raise ValueError(f"unique_until is 'start', 'finish' or a number of seconds, not {until!r}")


def milliseconds(name: str, value: Any) -> int:
    """The option of that name, a number of milliseconds or a timedelta, as milliseconds.

    Raises:
        ValueError: it is neither, or not more than 0.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds() * 1000
    if not isinstance(value, int | float) or not 0 < value <= LONGEST_TIME:
        raise ValueError(
            f"{name} is a number of milliseconds, or a timedelta, more than 0 and at most 20 years, not {value!r}"
        )
    return max(1, int(value))
