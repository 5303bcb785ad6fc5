"""The Dramatiq broker on Redis: a job is in exactly one place, and every move is one Lua script."""

from jobyard.broker.broker import JobyardBroker, get_broker

__all__ = ["JobyardBroker", "get_broker"]
