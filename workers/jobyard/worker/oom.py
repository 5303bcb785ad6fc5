"""Whether the kernel has killed a process of this container for want of memory.

Where it kills the whole container (control groups of version 2 with memory.oom.group, as Kubernetes sets them up), somebody else
has to say so. Otherwise it kills one process, with the same signal as anybody's `kill -9`; only the group's counter tells.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Final

from jobyard.worker.cgroup import UNIFIED, folders, own_path, read

#: Seconds from the kernel's decision to the end of the process, which has to give all its memory back, at most.
_DYING: Final = 10.0
_kills: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class OutOfMemory:
    """The kills of one container.

    Args:
        root: where `proc` and `sys` are mounted.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._file = _counter(root)
        self._count = self._read()
        self._seen: deque[float] = deque()  # when each kill was seen that has no dead process yet

    def look(self, now: float) -> None:
        """See whether there were more. To be called often: it costs a few microseconds.

        Args:
            now: seconds of whatever clock that goes on evenly.
        """
        count = self._read()
        self._seen.extend([now] * (count - self._count))
        self._count = max(self._count, count)
        while self._seen and now - self._seen[0] > _DYING:
            self._seen.popleft()  # It was another process: one that a job had started, perhaps.

    def explains(self, now: float) -> bool:
        """Whether this is why a process was killed that has ended just now. Each kill explains one."""
        self.look(now)
        if not self._seen:
            return False
        self._seen.popleft()
        return True

    def _read(self) -> int:
        found = _kills.search(read(self._file)) if self._file is not None else None
        return int(found[1]) if found else 0


def _counter(root: Path) -> Path | None:
    """The file with the counter of this process's own group; None: there is none."""
    places = [(root / mount, "", "memory.events") for mount in UNIFIED]
    places.append((root / "sys/fs/cgroup/memory", "memory", "memory.oom_control"))
    for mount, controller, name in places:
        for folder in folders(mount, own_path(root, controller)):
            if _kills.search(read(folder / name)):
                return folder / name
    return None
