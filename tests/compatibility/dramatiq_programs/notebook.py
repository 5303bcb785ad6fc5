"""Where the programs write down what happens in them, for the tests to read."""

import json
import os
from typing import Any

import redis

_client = redis.Redis.from_url(os.environ["REDIS_URL"])


def note(topic: str, *things: Any) -> None:
    _client.rpush(f"notes-{os.environ['NAMESPACE']}:{topic}", json.dumps(things))


def count(topic: str) -> int:
    """How many times this was called for the topic, over all attempts and processes."""
    return int(_client.incr(f"counts-{os.environ['NAMESPACE']}:{topic}"))
