"""Memory goes back to the system: after a burst, a thousand JobQueues at once, the process must not stay as large as it was."""

from __future__ import annotations

import ctypes
import gc
import sys


def settle() -> None:
    """What is loaded by now stays; it need not be looked through again."""
    gc.collect()
    gc.freeze()


def release_memory() -> None:
    """Collect cycles, which Python does rarely where much is alive, and give what is free back. Some tens of milliseconds."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl hasn't.
        if trim is not None:
            trim(0)
