"""What the API server answers, as errors, conflicts, pages and silence."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster import Cluster
from jobyard_operator.core import ownership
from jobyard_operator.core.rendering import QUEUE_LABEL
from jobyard_operator.kubernetes import api as module
from jobyard_operator.kubernetes.api import Api, ApiError, Conflict, NotFound, Unreachable
from jobyard_operator.kubernetes.cache import REPLICAS_OWNED, Cache, Key
from jobyard_operator.kubernetes.events import Events
from jobyard_operator.kubernetes.kinds import DEPLOYMENTS, SECRETS
from jobyard_operator.kubernetes.watch import Watches


def deployment(namespace: str, name: str = "one", label: str | None = "emails", **spec: Any) -> dict[str, Any]:
    """One that starts no pods."""
    labels = {} if label is None else {QUEUE_LABEL: label}
    container = {"name": "worker", "image": "localhost/none:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


@pytest.fixture
def connected(access: Path) -> Callable[[Callable[[Api], Awaitable[None]]], None]:
    """Runs a test with a connection that has the operator's rights."""

    def run(test: Callable[[Api], Awaitable[None]]) -> None:
        async def main() -> None:
            api = await Api.connect(access)
            try:
                await test(api)
            finally:
                await api.close()

        asyncio.run(main())

    return run


Connected = Callable[[Callable[[Api], Awaitable[None]]], None]


async def until(condition: Callable[[], Any], timeout: float = 15) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


def test_refusals_are_told_apart(kube_namespace: str, connected: Connected) -> None:
    async def test(api: Api) -> None:
        with pytest.raises(NotFound):
            await api.get(DEPLOYMENTS, kube_namespace, "none")
        made = await api.create(DEPLOYMENTS, kube_namespace, deployment(kube_namespace))
        with pytest.raises(Conflict):
            await api.create(DEPLOYMENTS, kube_namespace, deployment(kube_namespace))
        with pytest.raises(Conflict):
            await api.patch(DEPLOYMENTS, kube_namespace, "one", {"metadata": {"resourceVersion": "1"}})
        with pytest.raises(ApiError) as refused:
            await api.get(SECRETS, "kube-system", "any")
        assert (refused.value.status, type(refused.value)) == (403, ApiError)
        await api.delete(DEPLOYMENTS, kube_namespace, "one", uid="that-of-another")
        assert (await api.get(DEPLOYMENTS, kube_namespace, "one"))["metadata"]["uid"] == made["metadata"]["uid"]
        await api.delete(DEPLOYMENTS, kube_namespace, "one", uid=made["metadata"]["uid"])
        await api.delete(DEPLOYMENTS, kube_namespace, "one")

    connected(test)


def test_all_pages_of_a_list_by_label(
    kube_namespace: str, connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)

    async def test(api: Api) -> None:
        for number in range(5):
            await api.apply(DEPLOYMENTS, deployment(kube_namespace, f"d{number}"))
        await api.apply(DEPLOYMENTS, deployment(kube_namespace, "unlabelled", None))
        found = [one["metadata"]["name"] async for one in api.list(DEPLOYMENTS, kube_namespace, labels=QUEUE_LABEL)]
        assert sorted(found) == ["d0", "d1", "d2", "d3", "d4"]

    connected(test)


def test_fields_of_others_are_named_and_replicas_stay_with_the_autoscaler(
    control_plane: Cluster, kube_namespace: str, connected: Connected
) -> None:
    async def test(api: Api) -> None:
        await api.apply(DEPLOYMENTS, deployment(kube_namespace, minReadySeconds=1))
        patch = '{"spec":{"minReadySeconds":7}}'
        control_plane.kubectl("-n", kube_namespace, "patch", "deployment", "one", "-p", patch)
        wanted = deployment(kube_namespace, minReadySeconds=1)
        with pytest.raises(Conflict) as conflict:
            await api.apply(DEPLOYMENTS, wanted)
        fields = ownership.conflicting(conflict.value.details)
        assert len(fields) == 1
        assert "minReadySeconds" in fields[0]
        left = ownership.without(wanted, fields)
        assert (await api.apply(DEPLOYMENTS, left))["spec"]["minReadySeconds"] == 7

        await api.scale(DEPLOYMENTS, kube_namespace, "one", 0)
        del left["spec"]["replicas"]
        cache = Cache()
        cache.put(DEPLOYMENTS, await api.apply(DEPLOYMENTS, left))
        kept = cache.get(DEPLOYMENTS, Key(kube_namespace, "one"))
        assert kept is not None
        assert kept["metadata"][REPLICAS_OWNED]
        assert kept["spec"]["replicas"] == 0

    connected(test)


@pytest.mark.harms_cluster("the API server stands still")
# kopf leaves connections to the garbage collector when it is cancelled.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_server_that_does_not_answer_is_unreachable_in_time_and_watches_go_on_afterwards(
    control_plane: Cluster, kube_namespace: str, connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 1.0)
    monkeypatch.setattr("jobyard_operator.kubernetes.watch.INACTIVITY", 2.0)

    async def test(api: Api) -> None:
        cache = Cache()
        watches = Watches(api, cache, [kube_namespace])
        watching = asyncio.create_task(watches.run())
        one, other = Key(kube_namespace, "one"), Key(kube_namespace, "other")
        try:
            await until(watches.ready.is_set)
            await api.apply(DEPLOYMENTS, deployment(kube_namespace))
            await api.apply(DEPLOYMENTS, deployment(kube_namespace, "unlabelled", None))
            await until(lambda: cache.get(DEPLOYMENTS, one))
            await api.scale(DEPLOYMENTS, kube_namespace, "one", 0)
            await until(lambda: cache.get(DEPLOYMENTS, one)["metadata"].get(REPLICAS_OWNED))  # type: ignore[index]

            control_plane.api.freeze()
            began = time.monotonic()
            try:
                with pytest.raises(Unreachable):
                    await api.get(DEPLOYMENTS, kube_namespace, "one")
                assert time.monotonic() - began < 5
                await asyncio.sleep(3)  # Longer than a watch may say nothing.
            finally:
                control_plane.api.thaw()
            await asyncio.to_thread(
                control_plane.kubectl, "-n", kube_namespace, "delete", "deployment", "one", "unlabelled"
            )
            await api.apply(DEPLOYMENTS, deployment(kube_namespace, "other"))
            await until(lambda: cache.get(DEPLOYMENTS, other), 30)
            await until(lambda: cache.get(DEPLOYMENTS, one) is None, 30)
            assert cache.keys(DEPLOYMENTS) == {other}
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    connected(test)
    gc.collect()


def test_events_are_counted_and_cut_and_written_at_a_bounded_rate(
    control_plane: Cluster, kube_namespace: str, connected: Connected
) -> None:
    def told() -> dict[str, int]:
        found = control_plane.get(kube_namespace, "events.events.k8s.io")["items"]
        return {one["note"]: (one.get("series") or {"count": 1})["count"] for one in found if one["reason"] == "Tested"}

    async def test(api: Api) -> None:
        about = await api.apply(DEPLOYMENTS, deployment(kube_namespace))

        async def write(requests: int, *notes: str) -> None:
            events = Events(api, "an-operator")
            for note in notes:
                events.say(about, "Tested", note)
            writing = asyncio.create_task(events.run())
            await until(lambda: sum(api.requests.get((one, "events"), 0) for one in ("POST", "PATCH")) == requests)
            await asyncio.sleep(0.3)  # The last one is on its way.
            writing.cancel()
            assert events.dropped == 0

        began = time.monotonic()
        await write(12, *["again"] * 10, "→" * 2000, "other")
        assert time.monotonic() - began > 1.0, "ten a second"
        assert told() == {"again": 10, "other": 1, "→" * 340 + "…": 1}
        # After a restart it is found again: one that is created, refused, and counted.
        await write(14, "again")
        assert set(told()) == {"again", "other", "→" * 340 + "…"}

    connected(test)
