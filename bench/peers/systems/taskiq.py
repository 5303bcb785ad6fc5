"""taskiq on Redis streams (taskiq-redis), which is its broker with acknowledgements."""

import work
from produce import at_once
from taskiq_redis import RedisStreamBroker

# "0": also what was sent before the first worker came.
broker = RedisStreamBroker(work.URL, consumer_id="0", **({"maxlen": 100_000} if work.TUNED else {}))
TASKS = {kind: broker.task(task_name=kind)(job) for kind, job in work.ASYNC_JOBS.items()}
_started: list[bool] = []


async def send(kind: str, payload: str) -> None:
    if not _started:
        await broker.startup()
        _started.append(True)
    await TASKS[kind].kiq(payload)


async def send_many(kind: str, payloads: list[str]) -> None:
    await at_once(send, kind, payloads, 50)


async def close() -> None:
    await broker.shutdown()
