"""Memory that a supervisor shares with one child, and that outlives the child: its journal and its marks.

A file without a name, so that a program that was started afresh can share it; both map it.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator

from jobyard.broker import journal
from jobyard.broker.delivery import Completed
from jobyard.worker.marks import Mark, marks, size


class SharedMemory:
    """One side's view.

    Args:
        file: descriptor of the file; it stays the caller's.
        threads: how many threads the child has.
    """

    def __init__(self, file: int, threads: int) -> None:
        view = memoryview(mmap.mmap(file, _size(threads)))
        self.journal: memoryview = view[: journal.SIZE]
        self.marks: list[Mark] = marks(view[journal.SIZE :], threads)

    def running(self) -> list[str]:
        """The ids of the jobs that run, or were running when the child died."""
        return [job_id for mark in self.marks if (job_id := mark.get()) is not None]

    def completed(self) -> Iterator[Completed]:
        """What the child, which is dead, had completed and perhaps not delivered."""
        return journal.read(self.journal)


def create(threads: int) -> int:
    """A new file, all zero, of the right size. Returns its descriptor.

    Raises:
        OSError: no memory, or no descriptors.
    """
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("jobyard-worker", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    try:
        os.ftruncate(file, _size(threads))
    except OSError:
        os.close(file)
        raise
    return file


def _size(threads: int) -> int:
    return journal.SIZE + size(threads)
