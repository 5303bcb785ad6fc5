"""Fills a queue of Dramatiq's own Redis broker: python with_dramatiq.py URL NAMESPACE COUNT. Prints a JSON object of ids."""

import json
import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits.backends import RedisBackend

url, namespace, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
broker = RedisBroker(url=url, namespace=namespace)
dramatiq.set_broker(broker)
broker.add_middleware(dramatiq.middleware.GroupCallbacks(RedisBackend(url=url)))


@dramatiq.actor(queue_name="emails")
def send(number: int, *, subject: str = "") -> None: ...


@dramatiq.actor(queue_name="emails", max_retries=0)
def fail(number: int) -> None:
    raise RuntimeError("no such user")


sent: dict[str, list[str]] = {"waiting": [], "delayed": [], "dead": [], "taken": [], "grouped": []}
if count == 0:
    # One that fails for good, one that a worker has taken, then all the rest.
    sent["dead"].append(fail.send(0).message_id)
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    broker.join("emails", timeout=30_000)
    worker.stop()
    sent["taken"].append(send.send(1, subject="taken").message_id)
    consumer = broker.consume("emails", prefetch=1, timeout=1000)
    while next(consumer) is None:
        pass
    sent["waiting"] += [send.send(number, subject="größer").message_id for number in range(5)]
    sent["waiting"].append((send.message(7) | send.message(8)).run().messages[0].message_id)
    sent["delayed"] += [send.send_with_options(args=(number,), delay=3_600_000).message_id for number in range(3)]
    group = dramatiq.group([send.message(21), send.message(22)])
    group.add_completion_callback(send.message(23))
    group.run()
    # The same message twice is two jobs there.
    message = broker.enqueue(send.message(30))
    broker.enqueue(message)
    sent["twice"] = [message.message_id]
else:
    sent["waiting"] = [send.send(number).message_id for number in range(count)]
print(json.dumps(sent), flush=True)
os._exit(0)  # As a crash: what was taken stays taken.
