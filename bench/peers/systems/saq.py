"""SAQ. Tuned: more jobs at a time, and three tries, without which a killed worker's jobs are given up."""

import work
from produce import at_once
from saq import Queue

queue = Queue.from_url(work.URL, name="bench")
settings = {
    "queue": queue,
    "functions": [(kind, work.with_context(job)) for kind, job in work.ASYNC_JOBS.items()],
    "concurrency": 100 if work.TUNED else 10,
}
OPTIONS = {"retries": 3} if work.TUNED else {}


async def send(kind: str, payload: str) -> None:
    await queue.enqueue(kind, payload=payload, **OPTIONS)


async def send_many(kind: str, payloads: list[str]) -> None:
    await at_once(send, kind, payloads, 20)
