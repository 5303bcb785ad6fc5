"""Broker calls block, so they are made by a few threads here while the event loop goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from jobyard.broker.errors import BrokerFullError, BrokerRefusedError, BrokerUnavailableError
from jobyard.web.problems import Kind, Problem

Answer = TypeVar("Answer")

#: Calls that may wait for each thread. More would be answered so late that nobody waits any more.
_WAITING: Final = 16

#: Seconds after which a client may well try again.
_OUTAGE: Final = "2"
_BUSY: Final = "1"


class Backroom:
    """A bounded number of threads, with a bounded number of calls that wait for them.

    Each thread keeps its connection to Redis.
    """

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="jobyard-web")
        self._lock = threading.Lock()
        self._places = threads * (1 + _WAITING)
        self._taken = 0

    async def call(self, fn: Callable[[], Answer]) -> Answer:
        """Run `fn` in a thread.

        Raises:
            Problem: too many calls wait already, or Redis does not do what it is asked.
        """
        with self._lock:
            if self._taken >= self._places:
                raise Problem(
                    Kind.OVERLOADED, "Too many requests are waiting for Redis already.", headers={"Retry-After": _BUSY}
                )
            self._taken += 1
        future = self._executor.submit(fn)
        # By the thread's end, not by ours: a client that hangs up does not stop the call.
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wrap_future(future)
        except BrokerUnavailableError as error:
            raise Problem(Kind.REDIS_UNAVAILABLE, _sentence(error), headers={"Retry-After": _OUTAGE}) from error
        except BrokerFullError as error:
            raise Problem(Kind.REDIS_FULL, _sentence(error)) from error
        except BrokerRefusedError as error:
            raise Problem(Kind.REDIS_REFUSES, _sentence(error)) from error

    def close(self) -> None:
        """Take no more calls. Doesn't wait for those that are under way."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future[Answer]) -> None:
        with self._lock:
            self._taken -= 1


def _sentence(error: Exception) -> str:
    text = str(error).rstrip(".")
    return text[:1].upper() + text[1:] + "."
