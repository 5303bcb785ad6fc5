"""Encrypted and signed jobs: what lies in Redis can't be read, or not be forged, by whoever has no key.

An encrypted envelope is `*PRIORITY HEAD`, a line end, nonce and ciphertext. HEAD is `[key, actor, timestamp, tags]` as JSON, for
operations; the ciphertext is the whole envelope by AES-256-GCM. A signed one is `=PRIORITY KEY SIGNATURE`, a line end and
the envelope; the signature is HMAC-SHA256 in hexadecimal. In both, the job's queue and id and all that is in clear are
authenticated, so that nothing can be moved to another job, queue or actor.

Each job is encrypted with a key of its own, derived from the ring's key: random nonces can't meet, however many jobs there are.
"""

from __future__ import annotations

import base64
import hmac
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from dramatiq.errors import DecodeError

from jobyard.broker.key_ring import KeyRing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENCRYPTED: Final = "(encrypted)"

_NONCE: Final = 12
_RESULT: Final = b"*jobyard-result "
_length: Final = struct.Struct(">I")
_read: Final = msgspec.json.Decoder()
#: What of an error may hold a job's data.
_TELLING: Final = ("message", "template", "traceback")


class KeyMissingError(DecodeError):
    """What has been read is protected with a key that this process doesn't have."""

    def __init__(self, what: str, key: str) -> None:
        self.message = f"{what} with key {key!r}, which this process doesn't have: add it to its keys"
        self.data, self.error = b"", None
        self.key = key


class EnvelopeRefusedError(DecodeError):
    """An envelope that was not made by anybody who has the key, or not for this job. It is never run."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.data, self.error = b"", None


@dataclass(frozen=True, slots=True)
class Head:
    """What stays in clear of an encrypted job."""

    actor: str
    timestamp: int
    tags: list[str]
    priority: int


class Protection:
    """Encrypts and signs what goes to Redis, and opens what comes from there. Thread-safe.

    Args:
        encryption: its first key encrypts; None: nothing is encrypted.
        signing: its first key signs what is not encrypted; then a job that is neither is refused. None: nothing is signed.

    Raises:
        ImportError: encryption needs `pip install 'jobyard[crypto]'`.
    """

    def __init__(self, encryption: KeyRing | None = None, signing: KeyRing | None = None) -> None:
        self._encryption = encryption
        self._signing = signing
        if encryption is not None:
            _cipher(bytes(32))  # So that it fails now, and not with the first job.

    @property
    def refuses_plain(self) -> bool:
        """Whether a job that is neither signed nor encrypted is refused."""
        return self._signing is not None

    @property
    def encrypts(self) -> bool:
        """Whether what is written from now on is encrypted."""
        return self._encryption is not None

    # Envelopes -----------------------------------------------------------------------------------------------------

    def seal(self, envelope: bytes, queue: str, job_id: str, head: Head) -> bytes:
        """The envelope as it goes to Redis."""
        if self._encryption is not None:
            name, key = self._encryption.first()
            clear = b"*%d " % head.priority + msgspec.json.encode((name, head.actor, head.timestamp, head.tags))
            return b"%b\n%b" % (clear, _encrypt(key, b"envelope", queue, job_id, clear, envelope))
        if self._signing is not None:
            name, key = self._signing.first()
            clear = b"=%d %b" % (head.priority, name.encode())
            return b"%b %b\n%b" % (clear, _sign(key, queue, job_id, clear, envelope), envelope)
        return envelope

    def open(self, envelope: bytes, queue: str, job_id: str) -> bytes:
        """What was sealed.

        Raises:
            KeyMissingError, EnvelopeRefusedError: it can't be read, or must not be trusted.
            ValueError: it is damaged.
        """
        clear, _, body = envelope.partition(b"\n")
        if envelope[:1] == b"*":
            name = _read.decode(clear.partition(b" ")[2])[0]
            key = self._encryption.get(name) if self._encryption is not None else None
            if key is None:
                raise KeyMissingError("the job is encrypted", name)
            opened = _decrypt(key, b"envelope", queue, job_id, clear, body)
            if opened is None:
                raise EnvelopeRefusedError(
                    "the job was encrypted for another job, queue or actor, or changed afterwards"
                )
            return opened
        if envelope[:1] == b"=":
            if self._signing is not None:
                signed, _, signature = clear.rpartition(b" ")
                name = signed.partition(b" ")[2].decode()
                key = self._signing.get(name)
                if key is None:
                    raise KeyMissingError("the job is signed", name)
                if not hmac.compare_digest(_sign(key, queue, job_id, signed, body), signature):
                    raise EnvelopeRefusedError(
                        "the job's signature is wrong: it was signed for another job, or changed"
                    )
            return body
        if self.refuses_plain:
            raise EnvelopeRefusedError("the job is not signed, and this process takes only signed ones")
        return envelope

    # Results and errors --------------------------------------------------------------------------------------------

    def seal_result(self, result: bytes, queue: str, job_id: str) -> bytes:
        """An encoded result as it goes to Redis."""
        if self._encryption is None:
            return result
        name, key = self._encryption.first()
        clear = _RESULT + name.encode()
        return b"%b\n%b" % (clear, _encrypt(key, b"result", queue, job_id, clear, result))

    def open_result(self, result: bytes, queue: str, job_id: str) -> bytes:
        """The encoded result.

        Raises:
            KeyMissingError, EnvelopeRefusedError: it can't be read.
        """
        if not is_encrypted_result(result):
            return result
        clear, _, body = result.partition(b"\n")
        name = clear.removeprefix(_RESULT).decode(errors="replace")
        key = self._encryption.get(name) if self._encryption is not None else None
        if key is None:
            raise KeyMissingError("the result is encrypted", name)
        opened = _decrypt(key, b"result", queue, job_id, clear, body)
        if opened is None:
            raise EnvelopeRefusedError("the result is another job's, or was changed")
        return opened

    def seal_error(self, detail: bytes, queue: str, job_id: str) -> bytes:
        """An error, as a JSON object, without what may hold the job's data in clear."""
        if self._encryption is None or not detail:
            return detail
        error: dict[str, Any] = _read.decode(detail)
        telling = msgspec.json.encode({name: error.pop(name) for name in _TELLING if name in error})
        name, key = self._encryption.first()
        sealed = _encrypt(key, b"error", queue, job_id, name.encode(), telling)
        return msgspec.json.encode({**error, "sealed": [name, base64.b64encode(sealed).decode()]})

    def open_error(self, error: dict[str, Any], queue: str, job_id: str) -> dict[str, Any]:
        """The error with what was sealed; where there is no key for it, with a message that says so."""
        if "sealed" not in error:
            return error
        rest = {name: value for name, value in error.items() if name != "sealed"}
        try:
            name, encoded = error["sealed"]
            key = self._encryption.get(name) if self._encryption is not None else None
            opened = key and _decrypt(key, b"error", queue, job_id, name.encode(), base64.b64decode(encoded))
            telling = _read.decode(opened) if opened else {"message": ENCRYPTED, "traceback": ""}
        except (ValueError, TypeError, AttributeError):  # Not written by us.
            telling = {"message": ENCRYPTED, "traceback": ""}
        return {**rest, **telling}


#: No keys: nothing is protected, and what is encrypted can't be read.
PLAIN: Final = Protection()


def head_of(envelope: bytes) -> Head:
    """What is in clear of an encrypted envelope.

    Raises:
        ValueError, TypeError: it is damaged.
    """
    priority, _, rest = envelope[1:].partition(b"\n")[0].partition(b" ")
    _, actor, timestamp, tags = msgspec.json.decode(rest, type=tuple[str, str, int, list[str]])
    return Head(actor, timestamp, tags, int(priority))


def is_encrypted_result(result: bytes) -> bool:
    """Whether it is as `seal_result` makes it."""
    return result.startswith(_RESULT)


def _encrypt(key: bytes, kind: bytes, queue: str, job_id: str, clear: bytes, data: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    cipher = _cipher(_own_key(key, kind, queue, job_id))
    return nonce + cipher.encrypt(nonce, data, clear)


def _decrypt(key: bytes, kind: bytes, queue: str, job_id: str, clear: bytes, data: bytes) -> bytes | None:
    """None: it is not authentic."""
    from cryptography.exceptions import InvalidTag

    try:
        cipher = _cipher(_own_key(key, kind, queue, job_id))
        return cipher.decrypt(data[:_NONCE], data[_NONCE:], clear)
    except (InvalidTag, ValueError):  # Too short is a ValueError.
        return None


def _own_key(key: bytes, kind: bytes, queue: str, job_id: str) -> bytes:
    return hmac.digest(key, _framed(b"jobyard encryption 1", kind, queue.encode(), job_id.encode()), "sha256")


def _sign(key: bytes, queue: str, job_id: str, clear: bytes, envelope: bytes) -> bytes:
    text = _framed(b"jobyard signature 1", queue.encode(), job_id.encode(), clear, envelope)
    return hmac.digest(key, text, "sha256").hex().encode()


def _framed(*parts: bytes) -> bytes:
    """The parts with their lengths, so that no two lists of parts give the same."""
    return b"".join(_length.pack(len(part)) + part for part in parts)


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ImportError("encryption needs the package cryptography: pip install 'jobyard[crypto]'") from None
    return AESGCM(key)
