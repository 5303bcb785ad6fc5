"""How `jobyard operator` ends, and why it may not begin."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster import Cluster
from cluster.control.process import OperatorProcess
from support.servers import Server
from support.waiting import eventually


def _operator(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JOBYARD_", "KUBE")) and name != "HOME"
    }
    command = [sys.executable, "-m", "jobyard.cli", "operator", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env={**kept, **environment})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_gives_the_lease_back(
    control_plane: Cluster, kube_namespace: str, start_operator: Callable[..., OperatorProcess], number: signal.Signals
) -> None:
    operator = start_operator()
    began = time.monotonic()
    assert operator.end(number) == 0, operator.messages()
    assert time.monotonic() - began < 3
    lease = control_plane.get(kube_namespace, "lease", "jobyard-operator")
    assert lease["spec"].get("holderIdentity", "") == ""
    assert operator.messages()[-1] == "Stopping."


def test_a_signal_ends_a_standby_and_one_that_has_only_begun(start_operator: Callable[..., OperatorProcess]) -> None:
    start_operator()
    standby = start_operator()
    eventually(lambda: standby.metrics(), 20, what="it serves its metrics")
    assert standby.end() == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        ((), {"JOBYARD_OPERATOR_PORT": "many"}, "port: "),
        (("--lease-name", "Not a Name"), {}, "lease_name: "),
        (("--log-level", "loud"), {}, "'loud' is no log level"),
        ((), {}, "no way to a cluster is known"),
        ((), {"KUBECONFIG": "/nowhere"}, "no way to a cluster is known"),
    ],
)
def test_what_it_cannot_start_with_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, Any], sentence: str
) -> None:
    done = _operator(*arguments, HOME=str(tmp_path), **environment)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence(access: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = _operator("--port", str(port), KUBECONFIG=str(access))
    assert done.returncode == 2, done.stderr
    assert f"port {port} can't be had" in done.stderr


#: A fault of one of its parts, made some time after it began.
_FAULT = """
import asyncio
from jobyard.cli import main
from jobyard_operator.kubernetes.events import Events

async def run(self):
    await asyncio.sleep(1)
    raise LookupError("a fault of ours")

Events.run = run
main()
"""


def test_a_fault_ends_it_with_a_log(access: Path, kube_namespace: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FAULT, "operator", "--port", "0", "--namespace", kube_namespace],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "KUBECONFIG": str(access), "JOBYARD_LOG_FORMAT": "json"},
    )
    assert done.returncode == 1, done.stderr
    assert "The operator ends by a fault." in done.stderr
    assert "a fault of ours" in done.stderr


def test_a_redis_that_does_not_answer_holds_up_no_end(
    control_plane: Cluster,
    kube_namespace: str,
    start_operator: Callable[..., OperatorProcess],
    start_server: Callable[..., Server],
) -> None:
    redis = start_server("valkey")
    operator = start_operator()
    queue = {
        "apiVersion": "jobyard.dev/v1alpha1",
        "kind": "JobQueue",
        "metadata": {"name": "jq"},
        "spec": {
            "queue": "work",
            "redis": {"url": redis.url},
            "worker": {"image": "localhost/none:1", "modules": ["jobs"]},
        },
    }
    control_plane.apply(kube_namespace, queue)

    def condition(kind: str) -> str | None:
        found = control_plane.get(kube_namespace, "jobqueue", "jq").get("status", {}).get("conditions", ())
        return next((str(one["status"]) for one in found if one["type"] == kind), None)

    eventually(lambda: condition("MetricsAvailable") == "True", 20)
    redis.freeze()
    eventually(lambda: condition("MetricsAvailable") == "False", 30)
    began = time.monotonic()
    assert operator.end() == 0
    assert time.monotonic() - began < 5
