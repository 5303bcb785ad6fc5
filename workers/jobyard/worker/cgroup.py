"""Where this process's control group is to be seen: limits and counters of its container, not of the node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

#: Where version 2 may be mounted, under the root.
UNIFIED = ("sys/fs/cgroup", "sys/fs/cgroup/unified")


def own_path(root: Path, controller: str) -> PurePosixPath:
    """This process's cgroup: lines are "NUMBER:CONTROLLERS:PATH", for version 2 (controller '') "0::PATH"."""
    for line in read(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and controller in parts[1].split(","):
            return PurePosixPath(parts[2])
    return PurePosixPath("/")


def folders(mount: Path, path: PurePosixPath) -> Iterator[Path]:
    """The cgroup and its parents, as far as they can be seen: in a container the mount itself is often the own cgroup."""
    for one in (path, *path.parents):
        if ".." not in one.parts:
            yield mount.joinpath(*one.parts[1:])


def read(path: Path) -> str:
    """A file's text; empty: there is none that can be read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
