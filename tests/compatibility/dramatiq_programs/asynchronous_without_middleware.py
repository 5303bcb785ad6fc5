"""Async actors, and nobody has thought of the AsyncIO middleware."""

import os

import dramatiq

from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)

from dramatiq_programs.coroutines import *  # noqa: E402, F403 - actors are declared on the broker that is set
