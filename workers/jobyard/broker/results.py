"""Results as part of the job: stored by the script that finishes it, kept and forgotten together with it.

`message.get_result()`, groups and pipelines find them through Dramatiq's interface.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dramatiq.results import ResultBackend, ResultFailure, ResultMissing, Results, ResultTimeout

from jobyard.broker.delivery import Delivery

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker
    from jobyard.broker.inspector import Job

#: Longest result that is kept, in bytes. Larger ones belong into object storage, with the result naming the object.
LONGEST_RESULT = 512 * 1024
_DEFAULT_TIMEOUT = 10_000


class JobResults(Results):
    """Dramatiq's results middleware with results switched on: what an actor returns is kept with the job."""

    def __init__(self, broker: JobyardBroker) -> None:
        Results.__init__(self, backend=JobResultBackend(broker), store_results=True)

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        # None needs no room: a completed job without a result returned None.
        store = Results._lookup_options(self, broker, message)[0]
        if store and exception is None and result is not None:
            self.backend.store_result(message, result, self.result_ttl)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        pass

    def after_nack(self, broker: Any, message: Any) -> None:
        pass  # The job's history has the error.


class JobResultBackend(ResultBackend):
    """Stores on the delivery; reads from the job."""

    def __init__(self, broker: JobyardBroker) -> None:
        super().__init__()
        self._broker = broker

    def store_result(self, message: Any, result: Any, ttl: int) -> None:
        """Keep the result with the run, so that the script which finishes the job stores it.

        A result that can't be encoded, or is too large, makes the job a dead letter: running it again would not help.
        """
        if not isinstance(message, Delivery):
            return
        try:
            encoded = self.encoder.encode(result)
            if len(encoded) > LONGEST_RESULT:
                raise ValueError(
                    f"the result of {message.actor_name!r} has {len(encoded)} bytes, more than the {LONGEST_RESULT} that are "
                    "kept: put it into object storage and return its name"
                )
        except Exception as error:  # noqa: BLE001 - an encoder of the application may raise anything
            message.stuff_exception(error)
            message.fail()
        else:
            message.result = encoded

    def store_exception(self, message: Any, exception: BaseException, ttl: int) -> None:
        """Nothing to do: the job's history has it."""

    def get_result(self, message: Any, *, block: bool = False, timeout: int | None = None) -> Any:
        """What the job returned. `timeout` is in milliseconds.

        Raises:
            ResultMissing: not blocking, and the job has not ended.
            ResultTimeout: blocking, and it has not ended in time.
            ResultFailure: it ended as a dead letter, or was cancelled.
        """
        milliseconds = _DEFAULT_TIMEOUT if timeout is None else timeout
        inspector = self._broker.inspector
        if block:
            deadline = time.monotonic() + milliseconds / 1000
            job = inspector.wait(message.message_id, queue=message.queue_name, deadline=deadline)
        else:
            job = inspector.job(message.message_id, queue=message.queue_name)
        if job is None or not job.ended:
            raise (ResultTimeout if block else ResultMissing)(message)
        return self._value(job)

    def _value(self, job: Job) -> Any:
        if job.state == "completed":
            return None if job.encoded_result is None else self.encoder.decode(job.encoded_result)
        if job.state == "cancelled":
            raise ResultFailure("job was cancelled", "Cancelled", "")
        last = job.errors[-1] if job.errors else {}
        error, text = str(last.get("error", "unknown")), str(last.get("message", ""))
        raise ResultFailure(f"actor raised {error}: {text}", error, text)
