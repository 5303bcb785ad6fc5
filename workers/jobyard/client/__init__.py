"""For programs that hand jobs in and wait for their results, without importing the code of the actors.

    from jobyard.client import Client

    with Client("redis://127.0.0.1:6379/0") as jobs:
        welcome = jobs.enqueue("send_email", to="ada@example.org", subject="Welcome")
        print(welcome.result(timeout=30))

`AsyncClient` is its twin for asyncio.
"""

from jobyard.client.aio import AsyncClient, AsyncJobHandle
from jobyard.client.outcomes import JobFailed, JobPending, JobUnknown
from jobyard.client.requests import Request
from jobyard.client.sync import Client, JobHandle

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "Client",
    "JobFailed",
    "JobHandle",
    "JobPending",
    "JobUnknown",
    "Request",
]
