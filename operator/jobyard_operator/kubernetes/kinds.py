"""The kinds of objects that the operator touches, and their paths in the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jobyard_operator.resources.meta import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        group: '' is the core group.
        plural: as in paths.
    """

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of one object, or of all in a namespace, or of all there are."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(["namespaces", namespace] if namespace is not None else []), self.plural]
        return "/".join([*parts, *(part for part in (name, subresource) if part is not None)])


JOB_QUEUES: Final = Kind(GROUP, VERSION, "jobqueues", "JobQueue")
JOB_SCHEDULES: Final = Kind(GROUP, VERSION, "jobschedules", "JobSchedule")
DEAD_JOBS: Final = Kind(GROUP, VERSION, "deadjobs", "DeadJob")
DEPLOYMENTS: Final = Kind("apps", "v1", "deployments", "Deployment")
BUDGETS: Final = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
PODS: Final = Kind("", "v1", "pods", "Pod")
SECRETS: Final = Kind("", "v1", "secrets", "Secret")
NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace")
LEASES: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Kind("events.k8s.io", "v1", "events", "Event")
