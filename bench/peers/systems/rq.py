"""RQ. Tuned: jobs come back when their worker dies, which needs a retry policy."""

import work
from redis import Redis
from rq import Queue, Retry

queue = Queue("bench", connection=Redis.from_url(work.URL))
RETRY = Retry(max=3) if work.TUNED else None


def send(kind: str, payload: str) -> None:
    queue.enqueue(work.JOBS[kind], payload, retry=RETRY)


def send_many(kind: str, payloads: list[str]) -> None:
    for start in range(0, len(payloads), 1000):
        part = payloads[start : start + 1000]
        queue.enqueue_many([Queue.prepare_data(work.JOBS[kind], (payload,), retry=RETRY) for payload in part])
