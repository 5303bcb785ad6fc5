"""Class-based actors."""

import os

import dramatiq

from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)


class Task(dramatiq.GenericActor):
    class Meta:
        abstract = True
        queue_name = "tasks"
        max_retries = 0
        priority = 3

    def greeting(self) -> str:
        raise NotImplementedError

    def perform(self, name: str) -> str:
        return f"{self.greeting()} {name}"


class Hello(Task):
    class Meta:
        actor_name = "say_hello"

    def greeting(self) -> str:
        return "Hello"


class Goodbye(Task):
    def greeting(self) -> str:
        return "Goodbye"


class Speechless(Task):
    pass
