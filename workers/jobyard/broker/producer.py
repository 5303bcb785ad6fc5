"""The side that hands jobs in: one connection a thread, calls that count once, and the durability that was asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from redis.connection import AbstractConnection

from jobyard.broker import checks, keys
from jobyard.broker.caller import new_token
from jobyard.broker.checks import Durability
from jobyard.broker.delivery import FollowUp
from jobyard.broker.errors import BrokerFullError, BrokerRefusedError, BrokerUnavailableError
from jobyard.broker.keys import QueueKeys
from jobyard.broker.link import Link
from jobyard.broker.scripts import Argument, pack, script
from jobyard.broker.server import REPLY_TIMEOUT, Server
from jobyard.errors import RateLimitExceeded

#: Answers of `enqueue.lua` besides a count.
_APPLIED_BEFORE: Final = -1
_REJECTED: Final = -2


class Producer:
    """Hands jobs to Redis. Thread-safe, and safe after a fork.

    Args:
        namespace: prefix of all keys.
        patience: seconds for which a call is tried again while Redis can't be reached.
        durability: when a job counts as accepted; for all queues, or by name (those that are not named: memory).
        replicas: how many must have it, for `quorum`.
        reply_timeout: seconds for one reply.
    """

    def __init__(
        self,
        server: Server,
        namespace: str,
        *,
        patience: float,
        durability: Durability | Mapping[str, Durability] = "memory",
        replicas: int = 1,
        reply_timeout: float = REPLY_TIMEOUT,
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._patience = patience
        self._durability = durability
        self._replicas = replicas
        self._reply_timeout = reply_timeout
        self._local = threading.local()
        self._announced: set[str] = set()
        self._checked = False

    @property
    def link(self) -> Link:
        """This thread's connection."""
        local = self._local
        link: Link | None = getattr(local, "link", None)
        # A forked child is another caller: with its parent's name and numbers its calls would look like repetitions.
        if link is None or local.pid != os.getpid():
            self.check()
            link = local.link = self._new_link(self._forget)
            local.pid = os.getpid()
            local.caller = new_token()
            local.calls = 0
        return link

    def accept(
        self, queue: QueueKeys, jobs: Sequence[FollowUp], *, whatever_the_rate: bool = False
    ) -> tuple[int, dict[int, str]]:
        """Enqueue jobs of one queue in one call: all of them, or none.

        Args:
            whatever_the_rate: for jobs that follow from one that has ended: no rate rejects them.

        Returns:
            How many were new; and, for unique jobs that were not accepted since another has their key, the index and that
            other one's id.

        Raises:
            RateLimitExceeded: the queue's policy is to reject jobs that exceed its rate; none was accepted.
            BrokerUnavailableError: it is not known whether they were accepted.
            BrokerFullError, BrokerRefusedError: they were not.
        """
        link = self.link
        if queue.name not in self._announced:
            self.announce([queue.name])
        local = self._local
        local.calls += 1
        arguments: list[Argument] = [local.calls, b"1" if whatever_the_rate else b""]
        for job in jobs:
            arguments += (job.job_id, job.envelope, job.priority, job.delay, job.wishes)
        all_keys = (queue.call(local.caller), *queue.all)
        durability = self._durability_of(queue.name)
        confirm = checks.confirmation(durability, self._replicas, self._patience)
        if confirm is None:
            reply = link.call(script("enqueue"), all_keys, arguments)
        else:
            try:
                reply, written = link.call_and_confirm(script("enqueue"), all_keys, arguments, pack(confirm))
            except BrokerRefusedError as error:
                raise checks.explain_unconfirmed(error) from None
            if not checks.confirmed(durability, self._replicas, written):
                raise BrokerUnavailableError(
                    f"the job is accepted, but its durability {durability!r} was not confirmed within {self._patience:g} s"
                )
        if queue.name not in self._announced:
            self.announce([queue.name])  # We had to connect anew, perhaps to a server that has lost its data.
        new = int(reply[0])
        if new == _REJECTED:
            raise RateLimitExceeded(queue.name, int(reply[1]) / 1000)
        others = {index - 1: job_id.decode() for index, job_id in zip(reply[1::2], reply[2::2], strict=True)}
        return (len(jobs) - len(others) if new == _APPLIED_BEFORE else new), others

    def announce(self, queue_names: Iterable[str]) -> None:
        """Enter queues into the registry, so that they can be listed."""
        new = [name for name in queue_names if name not in self._announced]
        if new:
            key = keys.registry(self._namespace)
            try:
                self.link.command(b"SADD", key, *new, key=key)
            except BrokerFullError:
                # No reason for a worker not to start: it is what makes room. Jobs are refused by themselves.
                return
            self._announced.update(new)

    def check(self) -> None:
        """Make sure, once, that this Redis can be trusted with jobs.

        Raises:
            BrokerRefusedError: it can't; the message says what to set.
        """
        if self._checked:
            return
        link = self._new_link()
        try:
            info = _info(link.command(b"INFO"))
            checks.check(info, self._server.address)
            if "aof" in self._durabilities():
                checks.check_confirming(info, self._server.address)
        finally:
            link.close()
        self._checked = True

    def close(self) -> None:
        """Close this thread's connection."""
        link: Link | None = getattr(self._local, "link", None)
        if link is not None:
            link.close()

    def forget(self) -> None:
        """Announce queues anew: the server has lost its data."""
        self._announced.clear()

    def _new_link(self, on_connect: Callable[[AbstractConnection], None] | None = None) -> Link:
        return Link(self._server, patience=self._patience, reply_timeout=self._reply_timeout, on_connect=on_connect)

    def _forget(self, connection: AbstractConnection) -> None:
        # What we are connected to now may be a server that has lost its data, or another one.
        self._announced.clear()

    def _durabilities(self) -> Collection[Durability]:
        return [self._durability] if isinstance(self._durability, str) else self._durability.values()

    def _durability_of(self, queue_name: str) -> Durability:
        if isinstance(self._durability, str):
            return self._durability
        return self._durability.get(queue_name, "memory")


def _info(text: bytes) -> dict[str, Any]:
    lines = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}
