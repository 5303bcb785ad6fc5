"""Async actors, with Dramatiq's AsyncIO middleware."""

import os

import dramatiq
from dramatiq.middleware import AsyncIO

from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)

from dramatiq_programs.coroutines import *  # noqa: E402, F403 - actors are declared on the broker that is set
