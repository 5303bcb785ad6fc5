"""`JobyardBroker`: what applications put in place of Dramatiq's `RedisBroker`."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, NoReturn

import dramatiq
from dramatiq import Message
from dramatiq.errors import ActorNotFound, QueueJoinTimeout
from dramatiq.middleware import Middleware, Retries, ShutdownNotifications, TimeLimit
from dramatiq.results import Results

from jobyard.broker.checks import Durability
from jobyard.broker.consumer import DramatiqConsumer
from jobyard.broker.delivery import LONGEST_DELAY, OF_ONE_ATTEMPT, Again, Delivery, FollowUp
from jobyard.broker.envelope import seal
from jobyard.broker.hooks import Hooks
from jobyard.broker.keys import QueueKeys
from jobyard.broker.link import Link
from jobyard.broker.operations import Operations
from jobyard.broker.paging import pages_by_weight
from jobyard.broker.producer import Producer
from jobyard.broker.protection import Protection
from jobyard.broker.results import ResultLifetimes, job_results
from jobyard.broker.server import REPLY_TIMEOUT, Server, server
from jobyard.broker.sizes import MAX_CALL, MAX_MESSAGE, MAX_RESULT
from jobyard.broker.steps import Steps
from jobyard.broker.wishes import OPTIONS, WORKER_OPTIONS, id_for, in_batch, milliseconds, wishes_of
from jobyard.context import current_job, enter
from jobyard.errors import Cancelled, MessageTooLarge
from jobyard.priority import Priority, clamp

#: Jobs in one call of a bulk enqueue.
_BULK: Final = 1000
LONGEST_ID: Final = 256
#: What Dramatiq's RedisBroker can be given and we can't.
_NOT_OURS: Final = {
    **dict.fromkeys(("host", "port", "db", "client", "connection_pool"), "the server is named by the URL"),
    "maintenance_chance": "expired leases are recovered by time, not by chance",
    "heartbeat_timeout": "leases belong to the worker; see JobyardWorker",
    "dead_message_ttl": "see QueuePolicy.dead_ttl",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of a message.

    Attributes:
        message: with the id that its job has.
        new: it was accepted. Otherwise its id was known, or `other` stands in its way.
        other: the id of another job that has its unique key.
    """

    message: Message[Any]
    new: bool
    other: str | None


class JobyardBroker(Operations, dramatiq.Broker):
    """A Dramatiq broker on Redis or Valkey that loses nothing.

    Thread-safe. Makes no connection before the first job.

    Args:
        url: see `jobyard.broker.server`.
        middleware: as for every Dramatiq broker; None: Dramatiq's own, with retries and results of ours.
        namespace: prefix of all keys, so that several systems can share one Redis.
        durability: when `enqueue` may return: `memory`: Redis has the job; `aof`: it is on the server's disk; `quorum`:
            `replicas` replicas have it as well. One for all queues, or by queue's name (those that are not named: memory).
        replicas: for `quorum`.
        default_priority: for actors that set none (Dramatiq's 0 means "not set").
        patience: seconds for which a producer's call is tried again when Redis can't be reached; then it raises.
        reply_timeout: seconds for one reply; a server that takes longer is taken to be away.
        options: what redis-py's connections take besides, such as `ssl_ca_certs`.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        middleware: list[Middleware] | None = None,
        namespace: str = "jobyard",
        durability: Durability | Mapping[str, Durability] = "memory",
        replicas: int = 1,
        default_priority: int = Priority.NORMAL,
        patience: float = 10.0,
        reply_timeout: float = REPLY_TIMEOUT,
        protection: Protection | None = None,
        max_message_size: int = MAX_MESSAGE,
        max_result_size: int = MAX_RESULT,
        **options: Any,
    ) -> None:
        for name in _NOT_OURS.keys() & options:
            raise TypeError(f"JobyardBroker takes no {name!r}, unlike Dramatiq's RedisBroker: {_NOT_OURS[name]}")
        self.queues: dict[str, QueueKeys] = {}
        self.namespace = namespace
        self.protection = protection
        self.max_message_size = max_message_size
        self.max_result_size = max_result_size
        self.server = self._connect_to(url, options)
        self.default_priority = clamp(default_priority)
        self._producer = Producer(
            self.server,
            namespace,
            patience=patience,
            durability=durability,
            replicas=replicas,
            reply_timeout=reply_timeout,
        )
        self._local = threading.local()
        self._keys: dict[str, QueueKeys] = {}
        self.steps = Steps()
        self.worker_stops = False
        self._hooks: Hooks | None = None
        if middleware is None:
            from jobyard.middleware import default_middleware

            middleware = default_middleware()
        kept = self.queues
        super().__init__(middleware=[])
        self.queues = kept
        self.actor_options |= OPTIONS | WORKER_OPTIONS
        for one in middleware:
            self.add_middleware(one)
        if not any(isinstance(one, Results) for one in self.middleware):
            self.add_middleware(job_results(self))
            self.add_middleware(ResultLifetimes())

    def _connect_to(self, url: str, options: dict[str, Any]) -> Server:
        """Where connections come from. `jobyard.testing` has another one."""
        return server(url, **options)

    # Middleware ----------------------------------------------------------------------------------------------------

    def add_middleware(self, middleware: Middleware, **where: Any) -> None:
        """As in Dramatiq. Its own `Retries` is replaced by ours with the same settings; results of your own replace ours."""
        if type(middleware) is Retries:
            from jobyard.middleware.retries import JobRetries

            middleware = JobRetries.adopt(middleware)
        before = self.middleware
        for kind in (Results, Retries):
            if isinstance(middleware, kind):
                self.middleware = [one for one in self.middleware if not isinstance(one, kind)]
        try:
            super().add_middleware(middleware, **where)
        except ValueError:
            self.middleware = before  # There is nothing to put it before or after.
            raise
        finally:
            self._hooks = None

    @property
    def hooks(self) -> Hooks:
        """The hooks of the middleware as it is now."""
        if self._hooks is None:
            self._hooks = Hooks(self.middleware, self.logger)
            # A time limit must not go on running while what comes after the job is done, and strike there.
            self._end_hooks = Hooks(
                self.middleware, self.logger, contained=BaseException, first=(TimeLimit, ShutdownNotifications)
            )
        return self._hooks

    # The signals of a job come this way under Dramatiq's own worker only; ours calls the hooks itself.

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        if signal == "process_message":
            enter(args[0])
            if args[0].cancelled:
                raise Cancelled
        elif signal in ("worker_boot", "worker_shutdown"):
            self.worker_stops = signal == "worker_shutdown"
        hooks = self.hooks
        if signal in ("ack", "nack"):
            with self.recording(args[0]):
                self._end_hooks.before("before_" + signal, self, *args, **kwargs)
        else:
            hooks.before("before_" + signal, self, *args, **kwargs)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        hooks = self.hooks
        if signal in ("process_message", "skip_message"):
            with self.recording(args[0]):
                self._end_hooks.after("after_" + signal, self, *args, **kwargs)
            enter(None)
        elif signal in ("ack", "nack"):
            self._end_hooks.after("after_" + signal, self, *args, **kwargs)
        else:
            hooks.after("after_" + signal, self, *args, **kwargs)

    @contextmanager
    def recording(self, delivery: Delivery) -> Iterator[None]:
        """While a job's end is decided, `enqueue` on this thread writes nothing: it records on the delivery.

        The script that finishes the job then accepts what follows from it: together, or not at all. So retries, pipelines,
        callbacks and whatever an application's own middleware sends can't get lost between two calls.
        """
        before = getattr(self._local, "delivery", None)
        self._local.delivery = delivery
        try:
            yield
        finally:
            self._local.delivery = before

    # Declaring -----------------------------------------------------------------------------------------------------

    def declare_queue(self, queue_name: str) -> None:
        """Make a queue known to this process. No I/O: it happens when modules are imported."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = self.keys(queue_name)
            self.emit_after("declare_queue", queue_name)

    def keys(self, queue_name: str) -> QueueKeys:
        """The keys of a queue."""
        found = self._keys.get(queue_name)
        if found is None:
            found = self._keys[queue_name] = QueueKeys(self.namespace, queue_name)
        return found

    # Enqueueing ----------------------------------------------------------------------------------------------------

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Accept a job. When this returns, Redis has it (or its disk, see `durability`).

        A message whose id is known already, in whatever state its job is, changes nothing. So does one whose unique key another
        job has: then the message that is returned has that job's id. See `wishes` for what else a message may ask for.

        Args:
            delay: in milliseconds.

        Raises:
            BrokerUnavailableError: Redis could not be reached in time. Whether the job was accepted is then unknown; sending
                the same message again is safe.
            BrokerFullError, BrokerRefusedError: it was not accepted.
            ValueError: it can never be accepted.
        """
        offer = self.offer(message, delay=delay)
        return offer.message if offer.other is None else offer.message.copy(message_id=offer.other)

    def offer(self, message: Message[Any], *, delay: int | None = None) -> Offer:
        """As `enqueue`, and tells what became of it."""
        hooks = self.hooks
        hooks.before("before_enqueue", self, message, delay)
        job = self._follow_up(message, delay)
        new, other = True, None
        if not self._record(job, message):
            count, others = self._producer.accept(self.keys(job.queue_name), [job])
            new, other = count > 0, others.get(0)
            if "pipe_target" in message.options:
                self.steps.note(message)
            if not new:
                self.logger.info("Job %s is known already: it was not enqueued a second time.", job.job_id)
            if job.job_id != message.message_id:
                message = message.copy(message_id=job.job_id)
        given = message if other is None else message.copy(message_id=other)
        hooks.after("after_enqueue", self, given, delay)
        return Offer(message, new, other)

    def _record(self, job: FollowUp, message: Message[Any]) -> bool:
        """If a job's end is being decided on this thread, or a running job sends itself: record it. Otherwise False."""
        delivery: Delivery | None = getattr(self._local, "delivery", None)
        current = current_job() if delivery is None else delivery
        if isinstance(current, Delivery) and (job.job_id, job.queue_name) == (current.message_id, current.queue_name):
            # It runs again after this run has ended. An attempt is used up where a middleware has counted a retry.
            counted = message.options.get("retries", 0) > current.retries
            current.again = Again(job.delay, counted=counted, envelope=job.envelope, sent=True)
            current.failed = False
        elif delivery is not None:
            delivery.follow_ups.append(job)
        else:
            return False
        return True

    def run_again(self, delivery: Delivery, delay: int, *, counted: bool) -> None:
        """Record that a job runs again in `delay` milliseconds, with the hooks that Dramatiq calls for a retry."""
        delivery.again = Again(delay, counted)
        hooks = self.hooks
        if hooks.bound("before_enqueue"):
            hooks.before("before_enqueue", self, delivery, delay)
            # What a hook adds to the options stays with the job; what is only said of this attempt doesn't.
            options = {name: value for name, value in delivery.options.items() if name not in OF_ONE_ATTEMPT}
            message = replace(delivery._message, options=options)
            delivery.again = Again(delay, counted, seal(message, delivery.priority, self.protection))
        hooks.after("after_enqueue", self, delivery, delay)

    def enqueue_many(self, messages: Iterable[Message[Any]], *, delay: int | None = None) -> int:
        """Accept many jobs, a thousand in a call. Each call is accepted as a whole or not at all.

        Returns:
            How many were new.

        Raises:
            As `enqueue`; calls before the one that failed stay accepted. Sending all of them again is safe.
        """
        hooks = self.hooks
        by_queue: defaultdict[str, list[FollowUp]] = defaultdict(list)
        sent = list(messages)
        new = 0
        for message in sent:
            hooks.before("before_enqueue", self, message, delay)
            job = self._follow_up(message, delay)
            if self._record(job, message):
                new += 1
            else:
                by_queue[message.queue_name].append(job)
        for name, jobs in by_queue.items():
            for some in pages_by_weight(jobs, _BULK, _weights(jobs), MAX_CALL):
                new += self._producer.accept(self.keys(name), some)[0]
        for message in sent:
            hooks.after("after_enqueue", self, message, delay)
        return new

    def accept_follow_ups(self, jobs: Sequence[FollowUp]) -> None:
        """Accept jobs that follow from another one. For Redis Cluster, where no script can do both."""
        for job in jobs:
            self._producer.accept(self.keys(job.queue_name), [job], whatever_the_rate=True)

    def follow_up(self, message: Message[Any], *, batch: str = "") -> FollowUp:
        """A message as it goes to Redis, with the delay that its options say.

        Args:
            batch: the batch that it belongs to.

        Raises:
            ValueError, TypeError: it can never be accepted.
        """
        job = self._follow_up(message, message.options.get("delay"))
        return replace(job, wishes=in_batch(job.wishes, batch)) if batch else job

    def accept_for_batch(self, jobs: Sequence[FollowUp]) -> set[str]:
        """Accept jobs of a batch, a thousand in a call. Sending all of them again is safe.

        Returns:
            Ids of jobs that are none of the batch: another job has their unique key, or they are in another batch.

        Raises:
            As `enqueue`; calls before the one that failed stay accepted.
        """
        by_queue: defaultdict[str, list[FollowUp]] = defaultdict(list)
        for job in jobs:
            by_queue[job.queue_name].append(job)
        strangers: set[str] = set()
        for name, its in by_queue.items():
            for some in pages_by_weight(its, _BULK, _weights(its), MAX_CALL):
                others = self._producer.accept(self.keys(name), some)[1]
                strangers.update(some[index].job_id for index in others)
        return strangers

    def _follow_up(self, message: Message[Any], delay: int | None) -> FollowUp:
        if not 0 < len(message.message_id) <= LONGEST_ID:
            raise ValueError(f"a message's id has 1 to {LONGEST_ID} characters, not {len(message.message_id)}")
        message.message_id.encode()  # Raises a ValueError where Redis could not store it.
        self.keys(message.queue_name)  # Likewise where that can't be a queue's name.
        if delay is not None and delay > LONGEST_DELAY:
            raise ValueError(f"a delay of {delay} ms is more than 20 years")
        for name in ("expires", "deadline", "heartbeat_timeout"):
            if isinstance(message.options.get(name), timedelta):
                message = message.copy(options={name: milliseconds(name, message.options[name])})
        if "heartbeat_timeout" in message.options:
            milliseconds("heartbeat_timeout", message.options["heartbeat_timeout"])
        priority = self.priority_of(message)
        wait = 0 if delay is None or delay < 0 else int(delay)
        wishes = wishes_of(message, self.actors.get(message.actor_name))
        if wishes and wishes.tags:
            message = message.copy(options={"tags": list(wishes.tags)})  # Also those that the actor says.
        job_id = message.message_id
        if "idempotency_key" in message.options:
            job_id = id_for(str(message.options["idempotency_key"]), message.queue_name)
        envelope = seal(message, priority, self.protection, job_id)
        if len(envelope) > self.max_message_size:
            self._refuse(MessageTooLarge(message.actor_name, len(envelope), self.max_message_size))
        return FollowUp(
            message.queue_name,
            job_id,
            envelope,
            priority,
            wait,
            wishes.pack() if wishes else b"",
        )

    def _refuse(self, error: MessageTooLarge) -> NoReturn:
        delivery: Delivery | None = getattr(self._local, "delivery", None)
        if delivery is not None and delivery._exception is None and not delivery.failed:
            # A middleware sends what follows from a job that is done, and what it raises is only logged. But the job has not done
            # what it should, and doing it again would not help.
            delivery.stuff_exception(error)
            delivery.fail()
        raise error

    def priority_of(self, message: Message[Any]) -> int:
        """The message's own priority, else its actor's, else the default."""
        own = message.options.get("priority")
        if own is not None:
            try:
                return clamp(own)
            except (TypeError, ValueError, OverflowError):
                raise ValueError(f"a priority is an integer from 0 to 100, not {own!r}") from None
        actor = self.actors.get(message.actor_name)
        if actor is None or not actor.priority:
            return self.default_priority
        return clamp(actor.priority)

    # Connections ---------------------------------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """This thread's connection."""
        return self._producer.link

    def check(self) -> None:
        """Make sure, once, that this Redis can be trusted with jobs.

        Raises:
            BrokerRefusedError: it can't; the message says what to set.
        """
        self._producer.check()

    def announce(self, queue_names: Iterable[str]) -> None:
        """Enter queues into the registry, so that they can be listed."""
        self._producer.announce(queue_names)

    def close(self) -> None:
        """Close this thread's connection."""
        self._producer.close()

    @cached_property
    def client(self) -> Any:
        """An ordinary redis-py client of the same server, for an application's own keys, such as Dramatiq's rate limiters."""
        return self.server.client()

    # What else Dramatiq asks of a broker ---------------------------------------------------------------------------

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30000) -> DramatiqConsumer:
        self.check()
        self.announce([queue_name])
        return DramatiqConsumer(self, queue_name, prefetch, timeout)

    def flush_all(self) -> None:
        """Discard all waiting and delayed jobs of all queues that this process knows."""
        for queue_name in self.queues:
            self.flush(queue_name)

    def join(self, queue_name: str, *, interval: int = 50, timeout: int | None = None) -> None:
        """Wait until a queue has no waiting, delayed or running job. For tests.

        Args:
            interval, timeout: in milliseconds.

        Raises:
            QueueJoinTimeout: it still has some.
        """
        deadline = None if timeout is None else time.monotonic() + timeout / 1000
        while True:
            stats = self.inspector.stats(queue_name)
            if stats.waiting + stats.delayed + stats.parked + stats.active == 0:
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise QueueJoinTimeout(queue_name)
            time.sleep(interval / 1000)

    def get_actor(self, actor_name: str) -> dramatiq.Actor[..., Any]:
        try:
            return self.actors[actor_name]
        except KeyError:
            raise ActorNotFound(actor_name) from None


def _weights(jobs: Sequence[FollowUp]) -> list[int]:
    return [len(job.envelope) for job in jobs]


_choosing = threading.Lock()


def get_broker() -> dramatiq.Broker:
    """Dramatiq's global broker; where none is set yet, a `JobyardBroker` from the settings becomes it."""
    from dramatiq import broker as current

    from jobyard.settings import BrokerSettings

    with _choosing:
        if current.global_broker is None:
            logging.getLogger("jobyard").debug("No broker is set: making one from the settings.")
            dramatiq.set_broker(BrokerSettings().make_broker())
    return dramatiq.get_broker()
