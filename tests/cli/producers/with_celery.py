"""Fills a queue of Celery on Redis: python with_celery.py URL PREFIX COUNT. Prints a JSON object of ids."""

import json
import os
import sys
from datetime import UTC, datetime

from celery import Celery, chain, chord, group

url, prefix, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Celery("shop", broker=url)
app.conf.task_default_queue = "emails"
app.conf.broker_transport_options = {"global_keyprefix": prefix}
app.conf.accept_content = ["json", "pickle"]
app.conf.result_backend = url  # A chord needs one.


@app.task(name="shop.send")
def send(number: int, subject: str = "") -> None: ...


sent: dict[str, list[str]] = {}
if count == 0:
    sent["taken"] = [send.delay(1).id]
    queue = app.connection_for_read().SimpleQueue("emails")
    queue.get(timeout=10)
    sent["waiting"] = [send.delay(number, subject="größer").id for number in range(5)]
    sent["urgent last"] = [send.apply_async((10 + step,), priority=step).id for step in (9, 3, 6)]
    sent["compressed"] = [send.apply_async((20,), compression="gzip").id]
    sent["limited"] = [send.apply_async((21,), soft_time_limit=30, time_limit=60).id]
    sent["delayed"] = [send.apply_async((22,), countdown=3600).id]
    sent["expiring"] = [send.apply_async((23,), expires=3600).id]
    sent["pickled"] = [send.apply_async((24,), serializer="pickle").id]
    sent["typed"] = [send.delay(25, subject=datetime.now(UTC)).id]
    sent["linked"] = [send.apply_async((26,), link=send.si(0)).id]
    sent["chained"] = [chain(send.si(27), send.si(28))().parent.id]
    sent["grouped"] = [one.id for one in group(send.si(29), send.si(30))()]
    chord([send.si(31)])(send.si(32))
else:
    with app.producer_pool.acquire(block=True) as producer:
        sent["waiting"] = [send.apply_async((number,), producer=producer).id for number in range(count)]
print(json.dumps(sent), flush=True)
os._exit(0)  # As a crash: what was taken stays taken.
