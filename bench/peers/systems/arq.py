"""arq. Tuned: more jobs at a time, and it looks for new ones every 10 ms instead of every 500."""

import work
from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings
from produce import at_once

SETTINGS = RedisSettings.from_dsn(work.URL)
_pool: list[ArqRedis] = []


class WorkerSettings:
    functions = tuple(func(work.with_context(job), name=kind) for kind, job in work.ASYNC_JOBS.items())
    redis_settings = SETTINGS
    max_jobs = 100 if work.TUNED else 10
    poll_delay = 0.01 if work.TUNED else 0.5


async def send(kind: str, payload: str) -> None:
    if not _pool:
        _pool.append(await create_pool(SETTINGS))
    await _pool[0].enqueue_job(kind, payload)


async def send_many(kind: str, payloads: list[str]) -> None:
    await at_once(send, kind, payloads, 50)
