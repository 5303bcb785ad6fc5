"""Time limits, age limits, and the notice of a shutdown."""

import os
import time

import dramatiq
from dramatiq.middleware import CurrentMessage, Interrupt, Shutdown, TimeLimitExceeded

from dramatiq_programs.notebook import count, note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


def dawdle(topic: str) -> None:
    note(topic, "began")
    try:
        for _ in range(1000):
            time.sleep(0.01)
    except Interrupt as interrupt:
        note(topic, type(interrupt).__name__)
        raise


@dramatiq.actor(time_limit=100, max_retries=0)
def has_little_time(topic: str) -> None:
    dawdle(topic)


@dramatiq.actor(max_retries=0)
def has_ten_minutes(topic: str) -> None:
    dawdle(topic)


@dramatiq.actor(time_limit=100, max_retries=0)
def makes_the_best_of_it(topic: str) -> str:
    try:
        dawdle(topic)
    except TimeLimitExceeded:
        return "a part of it"
    return "never"


@dramatiq.actor(time_limit=100, max_retries=1, min_backoff=1, max_backoff=2)
def is_faster_the_second_time(topic: str) -> str:
    if count(topic) == 1:
        dawdle(topic)
    return "fast"


@dramatiq.actor(time_limit=float("inf"))
def has_all_the_time(topic: str) -> str:
    note(topic, "ran")
    return "done"


@dramatiq.actor(max_age=20_000)
def is_soon_stale(topic: str) -> None:
    note(topic, "ran")


@dramatiq.actor
def is_never_stale(topic: str) -> None:
    note(topic, "ran")


@dramatiq.actor(notify_shutdown=True, max_retries=0)
def wants_notice(topic: str) -> str:
    if count(topic) > 1:
        return "went on"
    dawdle(topic)
    return "never"


@dramatiq.actor
def finishes_first(topic: str) -> str:
    note(topic, "began")
    time.sleep(0.3)
    note(topic, "ended")
    return "finished"


@dramatiq.actor(notify_shutdown=True)
def cleans_up(topic: str) -> str:
    try:
        dawdle(topic)
    except Shutdown:
        return "cleaned up"
    return "never"
