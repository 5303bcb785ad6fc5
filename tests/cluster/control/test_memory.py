"""An operator runs for months: what it keeps must not grow with its steps."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cluster import Cluster
from cluster.control.candidate import LEASE
from jobyard.broker import JobyardBroker
from jobyard_operator.control.connections import Connections
from jobyard_operator.control.context import Context
from jobyard_operator.control.metrics import Metrics
from jobyard_operator.control.queue import QueueController
from jobyard_operator.control.telemetry import Telemetry
from jobyard_operator.kubernetes.api import Api
from jobyard_operator.kubernetes.cache import Cache, Key
from jobyard_operator.kubernetes.events import Events
from jobyard_operator.kubernetes.kinds import DEPLOYMENTS, JOB_QUEUES
from jobyard_operator.kubernetes.leadership import Leadership
from support.servers import Server

STEPS = 1000


@pytest.mark.timeout(120)
def test_a_thousand_steps_leave_nothing_behind(
    control_plane: Cluster, kube_namespace: str, access: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server("valkey")
    broker = JobyardBroker(server.url, middleware=[])
    queue = {
        "apiVersion": "jobyard.dev/v1alpha1",
        "kind": "JobQueue",
        "metadata": {"name": "jq"},
        "spec": {
            "queue": "work",
            "redis": {"url": server.url},
            "worker": {"image": "localhost/none:1", "modules": ["jobs"]},
        },
    }
    control_plane.apply(kube_namespace, queue)

    async def main() -> int:
        api, cache = await Api.connect(access), Cache()
        leadership = Leadership(api, kube_namespace, LEASE, "only")
        connections = Connections(api, lambda connection, name: None, 30.0)
        context = Context(api, cache, connections, leadership, Events(api, "only"), Metrics(api.requests))
        beside = [asyncio.create_task(leadership.run()), asyncio.create_task(context.events.run())]
        telemetry: list[Telemetry] = []

        def of(connection: object) -> Telemetry:
            if not telemetry:
                telemetry.append(Telemetry(connection))  # type: ignore[arg-type]
            return telemetry[0]

        controller = QueueController(context, Key(kube_namespace, "jq"), of)

        async def steps(count: int) -> int:
            for number in range(count):
                if number % 50 == 0:
                    for kind in (JOB_QUEUES, DEPLOYMENTS):
                        async for one in api.list(kind, kube_namespace):
                            cache.put(kind, {"apiVersion": kind.api_version, "kind": kind.name, **one})
                    await asyncio.to_thread(broker.pause if number % 100 else broker.resume, "work")
                await controller.step()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        try:
            async with asyncio.timeout(20):
                while not leadership.leads:
                    await asyncio.sleep(0.05)
            tracemalloc.start()
            before = await steps(STEPS // 4)
            return await steps(STEPS) - before
        finally:
            tracemalloc.stop()
            for task in beside:
                task.cancel()
                await asyncio.wait([task])
            connections.close()
            await api.close()

    grown = asyncio.run(main())
    broker.close()
    assert grown < 100 * STEPS, f"{grown} bytes"
