"""A message as it lies in Redis: `[actor, args, kwargs, options, timestamp, priority]` as JSON.

The queue is in the key and the id is the hash field, so neither is repeated here. Programs that set an encoder of their
own with `dramatiq.set_encoder` keep it: then the envelope is `!PRIORITY ` followed by what the encoder made of the message.
Either may be encrypted or signed, see `protection`.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final, NamedTuple

import dramatiq.message
import msgspec
from dramatiq import Message
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import DecodeError

from jobyard.broker.protection import ENCRYPTED, PLAIN, EnvelopeRefusedError, Head, KeyMissingError, Protection, head_of
from jobyard.priority import HIGHEST, LOWEST, Priority

_fast = msgspec.json.Encoder()
_exact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_SCALARS: Final = frozenset((str, int, bool, type(None)))
_read = msgspec.json.Decoder()
_PROTECTED: Final = (b"*", b"=")

#: The actor of a job whose envelope can't be read.
UNREADABLE: Final = "(unreadable)"


class Content(NamedTuple):
    """What an envelope holds."""

    actor_name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    timestamp: int
    priority: int


def seal(
    message: Message[Any], priority: int, protection: Protection | None = None, job_id: str | None = None
) -> bytes:
    """The envelope of a message.

    Args:
        job_id: where it is not the message's.

    Raises:
        TypeError, ValueError: the arguments can't be encoded.
    """
    envelope = _encode(message, priority)
    if protection is None:
        return envelope
    tags = message.options.get("tags") or []
    head = Head(message.actor_name, message.message_timestamp, list(tags), priority)
    return protection.seal(envelope, message.queue_name, job_id or message.message_id, head)


def _encode(message: Message[Any], priority: int) -> bytes:
    encoder = dramatiq.message.global_encoder
    if type(encoder) is not JSONEncoder:
        return b"!%d " % priority + encoder.encode(message.asdict())
    content = (
        message.actor_name,
        message.args,
        message.kwargs,
        message.options,
        message.message_timestamp,
        priority,
    )
    if _is_flat(message):
        with contextlib.suppress(OverflowError, UnicodeEncodeError):
            return _fast.encode(content)
    text = _exact.encode(content)
    try:
        return text.encode()
    except UnicodeEncodeError:  # Half of a surrogate pair, which JSON knows only as an escape.
        return json.dumps(content, separators=(",", ":")).encode()


def _is_flat(message: Message[Any]) -> bool:
    """Whether msgspec writes it as the standard library does, which is what Dramatiq uses.

    msgspec is several times faster, but it also takes what would not come back the same: bytes as text, a set as a list, not
    a number as null. The standard library refuses these, or writes them so that they come back. Looking into nested values
    would cost more than it saves.
    """
    return (
        _SCALARS.issuperset(map(type, message.args))
        and _SCALARS.issuperset(map(type, message.kwargs.values()))
        and _SCALARS.issuperset(map(type, message.options.values()))
    )


def unseal(envelope: bytes, protection: Protection | None = None, queue: str = "", job_id: str = "") -> Content:
    """What an envelope of this queue and job holds.

    Raises:
        KeyMissingError, EnvelopeRefusedError: it is protected, and can't be read or must not be trusted.
        DecodeError: it is damaged, or this process has no encoder that can read it.
    """
    if protection is None:
        if envelope[:1] == b"[":
            try:
                return _checked(*_read.decode(envelope))  # Nearly always, so without a further call.
            except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
                return _decoded(envelope)
        if envelope[:1] not in _PROTECTED:
            return _decoded(envelope)
    try:
        opened = (protection or PLAIN).open(envelope, queue, job_id)
    except DecodeError:
        raise
    except Exception as error:  # A damaged envelope may be anything at all.
        raise DecodeError("the job's envelope can't be read", envelope, error) from error
    content = _decoded(opened)
    if opened is not envelope and content.priority != _priority_in(envelope):
        raise EnvelopeRefusedError("the job's priority was changed")
    return content


def glance(envelope: bytes) -> Content:
    """What can be said of a job without any key, and without trusting it: for people. Raises nothing."""
    try:
        if envelope[:1] == b"*":
            head = head_of(envelope)
            return Content(head.actor, (ENCRYPTED,), {}, {"tags": head.tags}, head.timestamp, head.priority)
        return _decoded(envelope.partition(b"\n")[2] if envelope[:1] == b"=" else envelope)
    except Exception:  # noqa: BLE001 - a damaged envelope may be anything at all; people must be able to look at it
        return Content(UNREADABLE, (), {}, {}, 0, Priority.NORMAL)


def look(envelope: bytes, protection: Protection | None, queue: str, job_id: str) -> tuple[Content, str | None]:
    """What an envelope holds, as far as people can be shown it, and what is wrong with it. Raises nothing."""
    try:
        return unseal(envelope, protection, queue, job_id), None
    except (KeyMissingError, EnvelopeRefusedError) as error:
        return glance(envelope), str(error)
    except DecodeError as error:
        # People must be able to look at such a job, and to discard it.
        return Content(UNREADABLE, (), {}, {}, 0, Priority.NORMAL), str(error)


def _priority_in(envelope: bytes) -> int | None:
    found = envelope[1:].partition(b" ")[0]
    return int(found) if found.isdigit() else None


def _decoded(envelope: bytes) -> Content:
    try:
        if envelope[:1] != b"!":
            return _checked(*_decode(envelope))
        head, _, data = envelope.partition(b" ")
        fields: dict[str, Any] = dramatiq.message.global_encoder.decode(data)
        return _checked(
            fields["actor_name"],
            fields["args"],
            fields["kwargs"],
            fields["options"],
            fields["message_timestamp"],
            int(head[1:]),
        )
    except Exception as error:  # An encoder of the application may raise anything at all.
        raise DecodeError("the job's envelope can't be read", envelope, error) from error


def _checked(actor: Any, args: Any, kwargs: Any, options: Any, timestamp: Any, priority: Any) -> Content:
    # All that reads a message relies on these. In a damaged envelope they may be anything.
    if not (
        type(actor) is str
        and type(kwargs) is dict
        and type(options) is dict
        and type(args) in (list, tuple)
        and type(timestamp) in (int, float)
        and type(priority) is int
        and HIGHEST <= priority <= LOWEST
    ):
        raise TypeError("it is not [actor, args, kwargs, options, timestamp, priority]")
    return Content(actor, tuple(args), kwargs, options, timestamp, priority)


def _decode(envelope: bytes) -> Any:
    try:
        return _read.decode(envelope)
    except msgspec.DecodeError:
        return json.loads(envelope)  # NaN and huge integers, again.
