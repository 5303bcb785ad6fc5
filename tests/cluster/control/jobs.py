"""Actors that the pods of these tests run. Mounted into them; imported by no test."""

import time

import dramatiq


@dramatiq.actor(queue_name="work", max_retries=3, min_backoff=10, max_backoff=10)
def work(number, seconds=0.0):
    """Take some time."""
    time.sleep(seconds)


@dramatiq.actor(queue_name="work", max_retries=3)
def devour(number, mebibytes):
    """Take memory."""
    hoard = [bytearray(b"x" * (1 << 20)) for _ in range(mebibytes)]
    time.sleep(60)
    return len(hoard)


@dramatiq.actor(queue_name="work", max_retries=0)
def fail(number, text="it went wrong"):
    """Become a dead letter."""
    raise ValueError(text)
