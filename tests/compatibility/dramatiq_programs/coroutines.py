"""Async actors, for the programs that differ in their middleware."""

import asyncio

import dramatiq
from dramatiq.middleware import CurrentMessage, TimeLimitExceeded

from dramatiq_programs.notebook import count, note
from jobyard import current_job

dramatiq.get_broker().add_middleware(CurrentMessage())


@dramatiq.actor
async def add(x: int, y: int) -> int:
    await asyncio.sleep(0.001)
    return x + y


@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=2)
async def fails_once(topic: str) -> str:
    await asyncio.sleep(0)
    if count(topic) == 1:
        raise TimeoutError("the first time")
    return "the second time"


@dramatiq.actor
async def knows_itself() -> list[str | None]:
    await asyncio.sleep(0)
    message, job = CurrentMessage.get_current_message(), current_job()
    return [message and message.message_id, job and job.id]


@dramatiq.actor(time_limit=150, max_retries=0)
async def has_little_time(topic: str) -> None:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        note(topic, "cancelled")
        raise
    finally:
        note(topic, "cleaned up")


@dramatiq.actor
async def sends(x: int) -> int:
    return await asyncio.to_thread(add.send(x, x).get_result, block=True)


@dramatiq.actor(on_success="heard")
async def calls_back(topic: str) -> str:
    return "well"


@dramatiq.actor
async def heard(message_data: dict, result: str) -> None:
    note(message_data["args"][0], result)


__all__ = ["TimeLimitExceeded", "add", "calls_back", "fails_once", "has_little_time", "heard", "knows_itself", "sends"]
