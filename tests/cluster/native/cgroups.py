"""The control group in which all pods of a cluster are. kubelet ends what it doesn't know in there, so each has its own."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from cluster.native.addresses import unique_name


class Cgroup:
    """One group, in every hierarchy of the machine (version 1) or in the only one (version 2)."""

    def __init__(self, directory: Path) -> None:
        self.path = f"/{unique_name(directory)}"

    def make(self) -> None:
        """Make it, empty."""
        self.remove()
        for root in _hierarchies():
            _hand_down_controllers(root)
            (root / self.path[1:]).mkdir(exist_ok=True)

    def remove(self) -> None:
        """Remove it. Its processes have been killed; the last of them may need a moment to be gone."""
        deadline = time.monotonic() + 10
        for root in _hierarchies():
            top = root / self.path[1:]
            while top.is_dir():
                for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                    _remove_empty(folder)
                _remove_empty(top)
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)


def _hierarchies() -> list[Path]:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [Path(place) for _, place, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]


def _hand_down_controllers(root: Path) -> None:
    """In version 2 a group has the controllers that the one above hands down."""
    controllers = root / "cgroup.controllers"
    if controllers.exists():
        for name in controllers.read_text().split():
            with contextlib.suppress(OSError):
                (root / "cgroup.subtree_control").write_text(f"+{name}")


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
