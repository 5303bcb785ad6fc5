"""Middleware of one's own that overrides every hook."""

import os
from typing import Any

import dramatiq
from dramatiq.middleware import Callbacks, Middleware, Retries

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker

#: What happened in this process: hooks of a process, and of declaring.
happened: list[tuple[Any, ...]] = []


class Watching(Middleware):
    """Notes each hook under the topic of its job, or in `happened`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def of_process(self, hook: str, *details: Any) -> None:
        happened.append((self.name, hook, *details))
        note(f"process {self.name}", hook)

    def of_job(self, hook: str, message: Any, *details: Any) -> None:
        if message.actor_name == "is_watched":
            note(message.kwargs["topic"], f"{self.name}.{hook}", *details)


class First(Watching):
    @property
    def actor_options(self) -> set[str]:
        return {"label"}

    @property
    def forks(self) -> list[Any]:
        return [in_a_fork]

    def before_declare_actor(self, broker: Any, actor: Any) -> None:
        happened.append((self.name, "before_declare_actor", actor.actor_name, actor.actor_name in broker.actors))

    def after_declare_actor(self, broker: Any, actor: Any) -> None:
        happened.append((self.name, "after_declare_actor", actor.actor_name, actor.actor_name in broker.actors))

    def before_declare_queue(self, broker: Any, queue_name: str) -> None:
        happened.append((self.name, "before_declare_queue", queue_name, queue_name in broker.get_declared_queues()))

    def after_declare_queue(self, broker: Any, queue_name: str) -> None:
        happened.append((self.name, "after_declare_queue", queue_name, queue_name in broker.get_declared_queues()))

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.of_job("before_enqueue", message, delay)

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.of_job("after_enqueue", message, delay)

    def before_process_message(self, broker: Any, message: Any) -> None:
        self.of_job("before_process_message", message, broker.actors[message.actor_name].options["label"])

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self.of_job("after_process_message", message, result, exception and repr(exception))

    def after_skip_message(self, broker: Any, message: Any) -> None:
        self.of_job("after_skip_message", message)

    def before_ack(self, broker: Any, message: Any) -> None:
        self.of_job("before_ack", message)

    def after_ack(self, broker: Any, message: Any) -> None:
        self.of_job("after_ack", message)

    def before_nack(self, broker: Any, message: Any) -> None:
        self.of_job("before_nack", message, message.failed)

    def after_nack(self, broker: Any, message: Any) -> None:
        self.of_job("after_nack", message, message.failed)

    def after_process_boot(self, broker: Any) -> None:
        self.of_process("after_process_boot")

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        self.of_process("before_worker_boot", isinstance(worker, dramatiq.Worker), worker.broker is broker)

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        self.of_process("after_worker_boot", isinstance(worker, dramatiq.Worker), worker.worker_threads)

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self.of_process("before_worker_shutdown", isinstance(worker, dramatiq.Worker))

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self.of_process("after_worker_shutdown", isinstance(worker, dramatiq.Worker))

    def after_consumer_thread_boot(self, broker: Any, thread: Any) -> None:
        self.of_process("after_consumer_thread_boot")

    def before_consumer_thread_shutdown(self, broker: Any, thread: Any) -> None:
        self.of_process("before_consumer_thread_shutdown")

    def after_worker_thread_boot(self, broker: Any, thread: Any) -> None:
        self.of_process("after_worker_thread_boot")

    def before_worker_thread_shutdown(self, broker: Any, thread: Any) -> None:
        self.of_process("before_worker_thread_shutdown")


class Second(Watching):
    def before_process_message(self, broker: Any, message: Any) -> None:
        self.of_job("before_process_message", message)

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self.of_job("after_process_message", message)


class Third(Second):
    """Stands before the retries, so that their decision is known to it."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self.of_job("after_process_message", message, message.failed, message.options.get("retries"))


def in_a_fork() -> int:
    note("fork", os.getpid() != os.getppid())
    return 0


broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
broker.add_middleware(First("first"))
broker.add_middleware(Second("second"), after=First)
broker.add_middleware(Third("third"), before=Retries)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="watched", label="blue", max_retries=1, min_backoff=50, max_backoff=100)
def is_watched(*, topic: str, fails: int = 0) -> str:
    note(topic, "ran")
    if fails:
        raise RuntimeError("on purpose")
    return "result"


class Late(Middleware):
    """Added when actors and queues are declared already."""

    def after_declare_actor(self, broker: Any, actor: Any) -> None:
        happened.append(("late", "after_declare_actor", actor.actor_name))

    def after_declare_queue(self, broker: Any, queue_name: str) -> None:
        happened.append(("late", "after_declare_queue", queue_name))


broker.add_middleware(Late(), before=Callbacks)
