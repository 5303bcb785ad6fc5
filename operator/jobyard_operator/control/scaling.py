"""Carries out what the autoscaler decided: idle pods are taken out of service and marked, then the number is lowered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobyard_operator.control.connections import Connection
from jobyard_operator.control.context import Context
from jobyard_operator.core.drain import LEAVING, Mark, Pod, Scale, scale_plan
from jobyard_operator.core.pods import DELETION_COST
from jobyard_operator.kubernetes.api import NotFound
from jobyard_operator.kubernetes.cache import Key, version
from jobyard_operator.kubernetes.kinds import DEPLOYMENTS, PODS
from jobyard_operator.redis.pods import PodWork, retire

#: Seconds between marking pods and lowering the number: the controller that chooses the pods hears of the two by two watches.
MARK_LEAD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Scaled:
    """A number of replicas that was written, and the version of the Deployment that has it."""

    replicas: int
    version: int


class Scaler:
    """Of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key

    async def carry_out(
        self,
        deployment: str,
        connection: Connection | None,
        queue: str,
        pods: Sequence[Pod],
        work: dict[str, PodWork],
        replicas: int,
        desired: int,
    ) -> Scaled | None:
        """Get from `replicas` to `desired`, or as far as no busy pod has to go. Returns what was written; None: nothing.

        Raises:
            ApiError, BrokerError: not done, or not wholly; the next step goes on.
        """
        plan = scale_plan(pods, replicas, desired)
        leaving = [one.pod for one in plan if isinstance(one, Mark) and one.cost == LEAVING]
        leaving += [pod.name for pod in pods if pod.cost == LEAVING and pod.running == 0 and pod.name not in leaving]
        if desired < replicas and leaving and connection is not None:
            # An idle pod may take a job at any moment. So it is made sure that it doesn't, and whoever just did stays.
            self._context.must_lead()
            tokens = [token for name in leaving if name in work for token in work[name].tokens]
            retired = await connection.call(retire, queue, tokens) if tokens else set()
            pods = [
                replace(pod, running=1)
                if pod.name in leaving and not set(work[pod.name].tokens if pod.name in work else ("",)) <= retired
                else pod
                for pod in pods
            ]
            plan = scale_plan(pods, replicas, desired)
        marked = False
        for effect in plan:
            self._context.must_lead()
            match effect:
                case Mark(pod, cost):
                    annotations = {"metadata": {"annotations": {DELETION_COST: str(cost)}}}
                    try:
                        await self._context.api.patch(PODS, self._key.namespace, pod, annotations)
                    except NotFound:
                        continue
                    marked = True
                case Scale(number, _):
                    if marked:
                        await asyncio.sleep(MARK_LEAD)
                        self._context.must_lead()
                    written = await self._context.api.scale(DEPLOYMENTS, self._key.namespace, deployment, number)
                    return Scaled(number, version(written))
        return None
