"""The Deployment and the PodDisruptionBudget of a JobQueue, as they are applied: only what we own, and never replicas."""

from __future__ import annotations

from typing import Any, Final

from jobyard_operator.core.merge import merged
from jobyard_operator.resources.jobqueue import JobQueue
from jobyard_operator.resources.meta import API_VERSION

#: The one label that finds a queue's pods. Deployments can't change their selector, so it stays.
QUEUE_LABEL: Final = "jobyard.dev/jobqueue"
#: Changes when the Secret does, so that pods are replaced.
VERSION_ANNOTATION: Final = "jobyard.dev/secret-version"
CONTAINER: Final = "worker"
#: Seconds for which pods wait for a node that doesn't answer.
LOST_NODE_PATIENCE: Final = 15
PROBE_PORT: Final = 9191
#: Tells a worker its image, for the history of jobs that fail.
IMAGE_VARIABLE: Final = "JOBYARD_IMAGE"
#: A worker ends when so many processes of it have died in a row before any job had ended: the cluster sees it then.
MAX_CRASHES: Final = 3
#: Seconds that a worker has after its drain timeout to give back what still runs, and to tell Redis.
MARGIN: Final = 10


def selector(queue: JobQueue) -> dict[str, str]:
    """The labels by which the queue's pods are found."""
    return {QUEUE_LABEL: queue.metadata.name}


def child_name(queue: JobQueue) -> str:
    """Name of the Deployment and of the PodDisruptionBudget."""
    return f"{queue.metadata.name}-worker"


def deployment(queue: JobQueue, *, secret_version: str | None = None) -> dict[str, Any]:
    """The Deployment.

    Args:
        secret_version: changes whenever the Secret with Redis' URL does.

    Raises:
        MergeError: `podTemplate` can't be laid over our template.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(queue),
        "spec": {
            "selector": {"matchLabels": selector(queue)},
            "revisionHistoryLimit": 3,
            # A pod drains for long; its successor serves meanwhile.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": _template(queue, secret_version),
        },
    }


def disruption_budget(queue: JobQueue) -> dict[str, Any]:
    """The PodDisruptionBudget. A share that may go, not one that must stay, which would block a node's drain at one replica."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(queue),
        "spec": {
            "selector": {"matchLabels": selector(queue)},
            "maxUnavailable": "25%",
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _labels(queue: JobQueue) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "jobyard-worker",
        "app.kubernetes.io/instance": queue.metadata.name,
        "app.kubernetes.io/component": "worker",
        "app.kubernetes.io/part-of": "jobyard",
        "app.kubernetes.io/managed-by": "jobyard-operator",
        **selector(queue),
    }


def _metadata(queue: JobQueue) -> dict[str, Any]:
    return {
        "name": child_name(queue),
        "namespace": queue.metadata.namespace,
        "labels": _labels(queue),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "JobQueue",
                "name": queue.metadata.name,
                "uid": queue.metadata.uid,
                "controller": True,
                # Not blockOwnerDeletion: some clusters (OpenShift) ask for a further right then, and nobody waits for it.
            }
        ],
    }


def _template(queue: JobQueue, secret_version: str | None) -> dict[str, Any]:
    worker = queue.spec.worker
    annotations = {VERSION_ANNOTATION: secret_version} if secret_version is not None else {}
    template: dict[str, Any] = {
        "metadata": {"labels": _labels(queue), "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": worker.drain_timeout_seconds + MARGIN,
            # A job needs no access to Kubernetes, and no variables about its neighbours.
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "topologySpreadConstraints": [
                _spread(queue, "topology.kubernetes.io/zone"),
                _spread(queue, "kubernetes.io/hostname"),
            ],
            "containers": [_container(queue)],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    if worker.pod_template:
        template = merged(template, worker.pod_template)
        _name_image(template, worker.image)
        # What finds the pods is not for changing.
        template["metadata"]["labels"] = {**template["metadata"].get("labels", {}), **selector(queue)}
    _leave_dead_nodes(template["spec"])
    return template


def _leave_dead_nodes(spec: dict[str, Any]) -> None:
    """Pods of a node that doesn't answer are replaced soon, not after Kubernetes' five minutes: others may run their jobs, since
    what they still say is refused. An override that tolerates it for as long as it likes is left alone."""
    given = list(spec.get("tolerations") or ())
    known = {one.get("key") for one in given}
    spec["tolerations"] = given + [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_NODE_PATIENCE}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if key not in known and None not in known
    ]


def _name_image(template: dict[str, Any], before: str) -> None:
    """The worker is told of its image as it really is, unless the override tells it something else."""
    default = {"name": IMAGE_VARIABLE, "value": before}
    for container in template.get("spec", {}).get("containers", ()):
        image = container.get("image")
        if container.get("name") == CONTAINER and image and default in container.get("env", ()):
            container["env"] = [{**one, "value": image} if one == default else one for one in container["env"]]


def _spread(queue: JobQueue, topology: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(queue)},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _container(queue: JobQueue) -> dict[str, Any]:
    worker = queue.spec.worker
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": worker.image,
        "command": ["jobyard", "worker"],
        "args": list(worker.modules),
        "env": _environment(queue),
        "ports": [{"name": "probes", "containerPort": PROBE_PORT, "protocol": "TCP"}],
        # Loading an application may take its time; a worker that has started is watched more closely.
        "startupProbe": _probe("/livez", periodSeconds=2, failureThreshold=90),
        "livenessProbe": _probe("/livez", periodSeconds=10, failureThreshold=6),
        "readinessProbe": _probe("/readyz", periodSeconds=5),
        # The last error then stands in the pod's status, and from there in the JobQueue's.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  in the pod, and its own
    }
    if worker.image_pull_policy is not None:
        container["imagePullPolicy"] = worker.image_pull_policy
    if worker.resources is not None:
        container["resources"] = worker.resources.model_dump(by_alias=True, exclude_none=True)
    return container


def _environment(queue: JobQueue) -> list[dict[str, Any]]:
    spec = queue.spec
    secret = spec.redis.secret_ref
    url: dict[str, Any] = {"name": "JOBYARD_REDIS_URL"}
    if secret is not None:
        url["valueFrom"] = {"secretKeyRef": {"name": secret.name, "key": secret.key}}
    else:
        url["value"] = spec.redis.url
    values = {
        "JOBYARD_NAMESPACE": spec.redis.namespace,
        "JOBYARD_QUEUES": spec.queue,
        "JOBYARD_PROCESSES": str(spec.worker.processes),
        "JOBYARD_THREADS": str(spec.worker.threads),
        "JOBYARD_GRACE": str(spec.worker.drain_timeout_seconds),
        "JOBYARD_PROBE_PORT": str(PROBE_PORT),
        "JOBYARD_MAX_CRASHES": str(MAX_CRASHES),
        IMAGE_VARIABLE: spec.worker.image,
    }
    own = {"JOBYARD_POD_NAME": "metadata.name", "JOBYARD_NODE_NAME": "spec.nodeName"}
    return [
        url,
        *({"name": name, "value": value} for name, value in values.items()),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in own.items()),
    ]


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "probes"}, **timing}
