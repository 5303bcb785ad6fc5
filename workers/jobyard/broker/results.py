"""Results as part of the job: stored by the script that finishes it, kept and forgotten together with it.

`message.get_result()`, groups and pipelines find them through Dramatiq's interface.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import dramatiq
from dramatiq.middleware import Middleware
from dramatiq.results import ResultBackend, ResultFailure, ResultMissing, Results, ResultTimeout
from dramatiq.results.result import unwrap_result, wrap_exception

from jobyard.broker.delivery import Delivery
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.protection import is_encrypted_result

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker
    from jobyard.broker.inspector import Job

#: Milliseconds for which a queue without a policy keeps completed jobs; see `lua/include/retention.lua`.
KEPT_FOR: Final = 3_600_000
_DEFAULT_TIMEOUT: Final = 10_000


def job_results(broker: JobyardBroker) -> Results:
    """Dramatiq's middleware with results switched on: what an actor returns is kept with the job."""
    return Results(backend=JobResultBackend(broker), store_results=True)


class JobResultBackend(ResultBackend):
    """Results lie where the jobs lie."""

    def __init__(self, broker: JobyardBroker) -> None:
        super().__init__()
        self._broker = broker

    def store_result(self, message: Any, result: Any, ttl: int) -> None:
        """Keep the result with the run, so that the script which finishes the job stores it.

        None needs no room: a completed job without a result returned None. A result that can't be encoded, or is too large,
        makes the job a dead letter where the actor or the message asks for results, since running it again would not help.
        Where results are kept only because we always do, the job is completed, and whoever asks gets the error.
        """
        if result is None or not isinstance(message, Delivery):
            return
        encoder = dramatiq.get_encoder()
        try:
            encoded = encoder.encode(result)
            if len(encoded) > self._broker.max_result_size:
                raise ValueError(
                    f"the result of {message.actor_name!r} has {len(encoded)} bytes, more than the "
                    f"{self._broker.max_result_size} that are kept: put it into object storage and return its name"
                )
        except Exception as error:  # noqa: BLE001 - an encoder of the application may raise anything
            if self._asked_for(message):
                self._broker.logger.error("The result of job %s can't be stored: %s", message.message_id, error)
                message.stuff_exception(error)
                message.fail()
            else:
                self._broker.logger.warning("The result of job %s is not kept: %s", message.message_id, error)
                message.result = self._sealed(message, encoder.encode(wrap_exception(error)))
        else:
            message.result = self._sealed(message, encoded)

    def store_exception(self, message: Any, exception: BaseException, ttl: int) -> None:
        """Nothing to do: the job's history has it."""

    def get_result(self, message: Any, *, block: bool = False, timeout: int | None = None) -> Any:
        """What the job returned. `timeout` is in milliseconds.

        Raises:
            ResultMissing: not blocking, and the job has not ended.
            ResultTimeout: blocking, and it has not ended in time.
            ResultFailure: it ended as a dead letter, or was cancelled; or what it returned could not be kept. Also, if this
                process has started its pipeline and is blocking: a step before it did.
        """
        milliseconds = _DEFAULT_TIMEOUT if timeout is None else timeout
        inspector = self._broker.inspector
        if block:
            deadline = time.monotonic() + milliseconds / 1000
            self._wait_for_steps_before(message, deadline)
            job = inspector.wait(message.message_id, queue=message.queue_name, deadline=deadline, expected=True)
        else:
            job = inspector.job(message.message_id, queue=message.queue_name)
        if job is None or not job.ended:
            raise (ResultTimeout if block else ResultMissing)(message)
        return self._value(job)

    def _wait_for_steps_before(self, message: Any, deadline: float) -> None:
        """Where this is a step of a pipeline whose turn has not come.

        Raises:
            ResultFailure: its turn will not come, since a step before it has failed or was cancelled.
        """
        inspector = self._broker.inspector
        for job_id, queue in self._broker.steps.before(message.message_id):
            if inspector.job(message.message_id, queue=message.queue_name) is not None:
                return
            job = inspector.wait(job_id, queue=queue, deadline=deadline)
            if job is not None and job.ended and job.state != "completed":
                self._value(job)

    def _sealed(self, message: Delivery, encoded: bytes) -> bytes:
        protection = self._broker.protection
        return (
            encoded if protection is None else protection.seal_result(encoded, message.queue_name, message.message_id)
        )

    def _asked_for(self, message: Delivery) -> bool:
        actor = self._broker.actors.get(message.actor_name)
        return "store_results" in message.options or (actor is not None and "store_results" in actor.options)

    def _value(self, job: Job) -> Any:
        if job.state == "completed":
            if job.encoded_result is None:
                return None
            return decode_result(job.encoded_result)
        if job.state == "cancelled":
            raise ResultFailure("job was cancelled", "Cancelled", "")
        last = job.last_error
        error, text = str(last.get("error", "unknown")), str(last.get("message", ""))
        raise ResultFailure(f"actor raised {error}: {text}", error, text)


def decode_result(encoded: bytes) -> Any:
    """What an actor returned.

    Raises:
        ResultFailure: it could not be kept, or is encrypted with a key that this process doesn't have.
    """
    if is_encrypted_result(encoded):
        raise ResultFailure("the result is encrypted, and this process has no key for it", "KeyMissingError", "")
    return unwrap_result(dramatiq.get_encoder().decode(encoded))


class ResultLifetimes(Middleware):
    """An actor's `result_ttl` longer than the hour for which a queue keeps completed jobs: the queue keeps them as long.

    Where a policy says how long they are kept, that holds, and an actor that wants more is named in the log.
    """

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        wanted: defaultdict[str, int] = defaultdict(int)
        for actor in broker.actors.values():
            wanted[actor.queue_name] = max(wanted[actor.queue_name], int(actor.options.get("result_ttl") or 0))
        if not isinstance(broker.get_results_backend(), JobResultBackend):
            return
        for queue, ttl in wanted.items():
            if ttl <= KEPT_FOR:
                continue
            kept = broker.inspector.stats(queue).policy.completed_ttl
            if kept is None:
                broker.configure(queue, QueuePolicy(completed_ttl=ttl))
                broker.logger.info(
                    "Queue %s keeps completed jobs for %d ms, as an actor's result_ttl says.", queue, ttl
                )
            elif kept < ttl:
                broker.logger.warning(
                    "An actor of queue %s wants its results kept for %d ms, but the queue's policy says %d.",
                    queue,
                    ttl,
                    kept,
                )
