"""Celery on Redis, without a result backend (its default)."""

import work
from celery import Celery

app = Celery("bench", broker=work.URL)
app.conf.broker_connection_retry_on_startup = True
if work.TUNED:
    app.conf.task_acks_late = True
    app.conf.worker_prefetch_multiplier = 32
TASKS = {kind: app.task(job, name=kind) for kind, job in work.JOBS.items()}


def send(kind: str, payload: str) -> None:
    TASKS[kind].delay(payload)
