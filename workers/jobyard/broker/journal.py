"""What a worker process completed and has not delivered yet, in memory that outlives it.

A finished job waits up to 10 ms to be delivered. If the process is killed in that time, whoever shares the memory (its
supervisor) reads here what was completed, and completes it, instead of letting those jobs run a second time.

The memory has two halves: one collects while the other is on its way to Redis. A half is its length (4 bytes) and entries
of id length, result length, call, id and result. The length is written last, so that a torn entry is never seen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from jobyard.broker.delivery import Completed

#: Bytes that are enough for what is completed in 10 ms. What doesn't fit is not remembered, and would run again.
SIZE: Final = 512 * 1024

_length: Final = struct.Struct("<I")
_entry: Final = struct.Struct("<HIQ")


class Journal:
    """The writer's side. Not thread-safe: the exchange calls it under its lock.

    Args:
        memory: shared with whoever will read it; writable, at least a few hundred bytes.
    """

    __slots__ = ("_at", "_base", "_half", "_memory")

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._half = len(memory) // 2
        _length.pack_into(memory, 0, 0)
        _length.pack_into(memory, self._half, 0)
        self._base = 0
        self._at = _length.size

    def add(self, job_id: str, call: int, result: bytes | None) -> None:
        """A job was completed."""
        name = job_id.encode()
        result = result or b""
        data = b"%b%b%b" % (_entry.pack(len(name), len(result), call), name, result)
        end = self._at + len(data)
        if end <= self._half:
            base = self._base
            self._memory[base + self._at : base + end] = data
            self._at = end
            _length.pack_into(self._memory, base, end - _length.size)

    def turn(self) -> None:
        """What is here goes out now; what comes next is collected in the other half, which was delivered before."""
        self._base = self._half - self._base
        self._at = _length.size
        _length.pack_into(self._memory, self._base, 0)

    def delivered(self) -> None:
        """What went out with the last turn has arrived."""
        _length.pack_into(self._memory, self._half - self._base, 0)


def read(memory: memoryview) -> Iterator[Completed]:
    """What the writer of this memory, which is dead, had completed. Some of it may have been delivered."""
    half = len(memory) // 2
    for base in (0, half):
        (length,) = _length.unpack_from(memory, base)
        at, end = base + _length.size, base + _length.size + min(length, half - _length.size)
        while at + _entry.size <= end:
            id_size, result_size, call = _entry.unpack_from(memory, at)
            at += _entry.size
            if at + id_size + result_size > end:
                break  # Not written by us.
            job_id = bytes(memory[at : at + id_size]).decode()
            at += id_size
            yield Completed(job_id, call, bytes(memory[at : at + result_size]))
            at += result_size
