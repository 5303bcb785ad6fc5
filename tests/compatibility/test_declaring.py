"""Ways to declare actors: classes, several modules, one broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import ActorNotFound


@pytest.fixture(scope="module")
def run(load: Callable[..., Any], engine: str) -> Iterator[Callable[[str], Any]]:
    """Loads a program and starts its worker: `run("classes")`."""
    running: dict[str, Any] = {}

    def run(name: str) -> Any:
        if name not in running:
            running[name] = load(name, engine)
            running[name].start()
        return running[name]

    yield run
    for one in reversed(running.values()):
        one.close()


def test_class_based_actors(run: Callable[[str], Any]) -> None:
    program = run("classes")
    assert program.Hello.send("Ada").get_result(block=True) == "Hello Ada"
    assert program.Goodbye.send("Ada").get_result(block=True) == "Goodbye Ada"
    assert program.Hello("Bob") == "Hello Bob"
    message = program.Goodbye.send_with_options(args=("Ada",), delay=60_000)
    job = program.job(message)
    assert (job.actor, job.queue, job.priority) == ("Goodbye", "tasks", 3)
    program.broker.cancel(message.message_id)
    assert program.ended(program.Speechless.send("Ada"), "dead").errors[-1]["error"] == "NotImplementedError"


def test_actors_of_several_modules_send_jobs_to_each_other(run: Callable[[str], Any], topic: str) -> None:
    program = run("shop")
    message = program.orders.order.send(topic, ["a", "b"])
    sent = message.get_result(block=True)
    assert sorted(program.notes(topic, 3)) == [["taken", "a"], ["taken", "b"], ["taken", "the last thing"]]
    assert len(set(sent)) == 3
    assert program.broker is dramatiq.get_broker()
    assert program.broker.get_declared_queues() == {"orders", "stock"}
    assert program.broker.get_declared_actors() == {"take", "order", "order_and_fail"}


def test_what_an_actor_has_sent_is_sent_even_if_it_fails_afterwards(run: Callable[[str], Any], topic: str) -> None:
    program = run("shop")
    program.ended(program.orders.order_and_fail.send(topic), "dead")
    assert program.notes(topic, 1) == [["taken", "a thing"]]


def test_an_actor_is_declared_once(run: Callable[[str], Any]) -> None:
    broker = run("shop").broker
    with pytest.raises(ValueError, match="An actor named 'take' is already registered"):
        dramatiq.actor(actor_name="take", broker=broker)(lambda: None)
    with pytest.raises(ActorNotFound):
        broker.get_actor("unheard_of")
    with pytest.raises(ValueError, match="Queue names must start with a letter"):
        dramatiq.actor(queue_name="1st", broker=broker)(lambda: None)
