"""JobQueues to try things on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobyard_operator.resources import JobQueue


def build_queue(**spec: Any) -> JobQueue:
    """A JobQueue called emails with these parts of the spec, in the resource's own spelling."""
    return JobQueue.parse(
        {
            "apiVersion": "jobyard.dev/v1alpha1",
            "kind": "JobQueue",
            "metadata": {"name": "emails", "namespace": "shop", "uid": "6a8c4c1e", "generation": 3},
            "spec": {
                "queue": "emails",
                "redis": {"secretRef": {"name": "redis"}},
                "worker": {"image": "registry.example/shop:1.4", "modules": ["shop.jobs"]},
            }
            | spec,
        }
    )


@pytest.fixture
def make_queue() -> Callable[..., JobQueue]:
    """Builds JobQueues; see `build_queue`."""
    return build_queue
