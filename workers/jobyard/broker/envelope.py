"""A message as it lies in Redis: `[actor, args, kwargs, options, timestamp, priority]` as JSON.

The queue is in the key and the id is the hash field, so neither is repeated here. Programs that set an encoder of their
own with `dramatiq.set_encoder` keep it: then the envelope is `!PRIORITY ` followed by what the encoder made of the message.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import dramatiq.message
import msgspec
from dramatiq import Message
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import DecodeError

_fast = msgspec.json.Encoder()
_read = msgspec.json.Decoder()


class Content(NamedTuple):
    """What an envelope holds."""

    actor_name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    timestamp: int
    priority: int


def seal(message: Message[Any], priority: int) -> bytes:
    """The envelope of a message.

    Raises:
        TypeError, ValueError: the arguments can't be encoded.
    """
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
    try:
        return _fast.encode(content)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # The standard library knows some things that msgspec refuses (huge integers, for one).
        return json.dumps(content, separators=(",", ":")).encode()


def unseal(envelope: bytes) -> Content:
    """What an envelope holds.

    Raises:
        DecodeError: it is damaged, or this process has no encoder that can read it.
    """
    try:
        if envelope[:1] != b"!":
            actor, args, kwargs, options, timestamp, priority = _decode(envelope)
            return Content(actor, tuple(args), kwargs, options, timestamp, priority)
        head, _, data = envelope.partition(b" ")
        fields: dict[str, Any] = dramatiq.message.global_encoder.decode(data)
        return Content(
            fields["actor_name"],
            tuple(fields["args"]),
            fields["kwargs"],
            fields["options"],
            fields["message_timestamp"],
            int(head[1:]),
        )
    except Exception as error:  # An encoder of the application may raise anything at all.
        raise DecodeError("the job's envelope can't be read", envelope, error) from error


def _decode(envelope: bytes) -> Any:
    try:
        return _read.decode(envelope)
    except msgspec.DecodeError:
        return json.loads(envelope)  # NaN and huge integers, again.
