"""Fills a queue of RQ: python with_rq.py URL QUEUE COUNT. Prints a JSON object of ids."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta

import redis
import rq
from rq.serializers import JSONSerializer

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = redis.Redis.from_url(url)
queue = rq.Queue(name, connection=connection)
plain = rq.Queue(name, connection=connection, serializer=JSONSerializer)

sent: dict[str, list[str]] = {}
if count == 0:
    # A function that isn't there fails.
    sent["dead"] = [queue.enqueue("shop.no_such").id]
    rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
    sent["taken"] = [queue.enqueue("shop.send", 1).id]
    rq.Queue.lmove(connection, queue.key, 1)
    arguments = (1, -2, 3.5, "größer", None, True, [1, [2]], {"a": {"b": False}}, 2**70)
    sent["pickled"] = [queue.enqueue("shop.send", *arguments, subject="x", job_timeout=30).id]
    sent["json"] = [plain.enqueue("shop.send", *arguments, subject="x").id]
    sent["expiring"] = [queue.enqueue("shop.send", 4, ttl=3600).id]
    sent["retried"] = [queue.enqueue("shop.send", 4, retry=rq.Retry(max=2)).id]
    sent["delayed"] = [queue.enqueue_in(timedelta(hours=1), "shop.send", 5).id]
    sent["dated"] = [queue.enqueue("shop.send", datetime.now(UTC)).id]
    sent["meta"] = [queue.enqueue("shop.send", 6, meta={"user": 1}).id]
    first = queue.enqueue("shop.send", 7)
    sent["awaited"] = [first.id]
    sent["deferred"] = [queue.enqueue("shop.send", 8, depends_on=first).id]
    sent["callback"] = [queue.enqueue("shop.send", 9, on_success=rq.Callback("shop.done")).id]
else:
    with connection.pipeline() as pipe:
        sent["waiting"] = [queue.enqueue("shop.send", number, pipeline=pipe).id for number in range(count)]
        pipe.execute()
print(json.dumps(sent), flush=True)
os._exit(0)  # As a crash: what was taken stays taken.
