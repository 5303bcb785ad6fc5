"""Huey on Redis."""

import work
from huey import RedisHuey

huey = RedisHuey("bench", url=work.URL)
TASKS = {kind: huey.task(name=kind)(job) for kind, job in work.JOBS.items()}


def send(kind: str, payload: str) -> None:
    TASKS[kind](payload)
