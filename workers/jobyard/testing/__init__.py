"""For unit tests of applications: brokers that need no Redis.

`MemoryBroker` runs jobs in the test itself, with the real scripts and a clock that the test moves. `stub_broker` is Dramatiq's
`StubBroker`, for tests that start a worker on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobyard.testing.stub import stub_broker

if TYPE_CHECKING:
    from jobyard.testing.broker import MemoryBroker

__all__ = ["MemoryBroker", "stub_broker"]


def __getattr__(name: str) -> Any:
    # It needs Lua, which `stub_broker` doesn't.
    if name == "MemoryBroker":
        from jobyard.testing.broker import MemoryBroker

        return MemoryBroker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
