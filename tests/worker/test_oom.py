"""A container without memory left: the kernel kills a process, and the attempt says so."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobyard.broker import JobyardBroker
from jobyard.worker.cgroup import own_path
from jobyard.worker.oom import OutOfMemory
from support.waiting import eventually
from worker.process import WorkerProcess

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]
#: Bytes: enough for a supervisor and two processes.
LIMIT = 400 * 2**20


# The counter -------------------------------------------------------------------------------------------------------


def tree(root: Path, path: str, file: str, group: str) -> Path:
    """The counter's file, and what says which group is the own one."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    counter = root / path / file
    counter.parent.mkdir(parents=True)
    return counter


@pytest.mark.parametrize(
    ("path", "file", "group"),
    [
        pytest.param("sys/fs/cgroup", "memory.events", "0::/\n", id="v2, in a container"),
        pytest.param("sys/fs/cgroup/kubepods/pod/c", "memory.events", "0::/kubepods/pod/c\n", id="v2"),
        pytest.param("sys/fs/cgroup/memory/a/b", "memory.oom_control", "4:memory:/a/b\n0::/\n", id="v1"),
        pytest.param("sys/fs/cgroup/memory", "memory.oom_control", "4:memory:/kubepods/c\n", id="v1, in a container"),
    ],
)
def test_each_kill_explains_one_death(tmp_path: Path, path: str, file: str, group: str) -> None:
    counter = tree(tmp_path, path, file, group)
    counter.write_text("low 0\noom 9\noom_kill 3\noom_group_kill 0\n")
    watch = OutOfMemory(tmp_path)
    assert not watch.explains(0.0)
    counter.write_text("low 0\noom 9\noom_kill 5\noom_group_kill 0\n")
    watch.look(1.0)
    assert watch.explains(2.0)
    assert watch.explains(3.0)
    assert not watch.explains(3.0)


def test_a_kill_that_was_long_ago_explains_nothing(tmp_path: Path) -> None:
    counter = tree(tmp_path, "sys/fs/cgroup", "memory.events", "0::/\n")
    counter.write_text("oom_kill 0\n")
    watch = OutOfMemory(tmp_path)
    counter.write_text("oom_kill 1\n")
    watch.look(1.0)
    assert not watch.explains(12.0)


@pytest.mark.parametrize("content", [None, "", "oom_kill many\n"])
def test_where_nothing_counts_nothing_is_explained(tmp_path: Path, content: str | None) -> None:
    counter = tree(tmp_path, "sys/fs/cgroup", "memory.events", "0::/\n")
    if content is not None:
        counter.write_text(content)
    assert not OutOfMemory(tmp_path).explains(0.0)


# For real ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def container() -> Iterator[Path]:
    """A control group with a memory limit, in which the kernel kills single processes."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    root = Path("/sys/fs/cgroup") if unified.exists() else Path("/sys/fs/cgroup/memory")
    path = own_path(Path("/"), "" if unified.exists() else "memory")
    group = root.joinpath(*path.parts[1:]) / f"jobyard-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / ("memory.max" if unified.exists() else "memory.limit_in_bytes")).write_text(str(LIMIT))
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"needs a control group of its own: {error}")
    for name in ("memory.swap.max", "memory.swappiness"):
        if (group / name).exists():
            (group / name).write_text("0")
    yield group
    eventually(lambda: not (group / "cgroup.procs").read_text(), what="all its processes are gone")
    group.rmdir()


@pytest.fixture
def start_inside(container: Path, start: Start) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers in that group."""
    made: list[WorkerProcess] = []

    def make(*arguments: str, **options: str) -> WorkerProcess:
        shell = ("/bin/sh", "-c", f'echo $$ > {container}/cgroup.procs && exec "$@"', "sh")
        made.append(start(*arguments, wrapper=shell, environment=options).ready())
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_a_process_that_the_kernel_has_killed_for_its_memory_leaves_that_with_its_job(
    start_inside: Callable[..., WorkerProcess], send: Send, producer: JobyardBroker
) -> None:
    worker = start_inside(
        "gluttony", "--processes", "2", "--threads", "1",
        JOBYARD_POD_NAME="mail-1", JOBYARD_NODE_NAME="node-1", JOBYARD_IMAGE="shop:1.4",
    )  # fmt: skip
    job_id = send("devour", "glutton")
    job = producer.inspector.wait(job_id, queue="work", deadline=time.monotonic() + 60)
    assert job is not None
    assert (job.state, job.attempts) == ("completed", len(job.errors) + 1)
    error = job.errors[0]
    assert (error["error"], error["group"], error["signal"]) == ("OOMKilled", "OOMKilled", signal.SIGKILL)
    assert (error["pod"], error["node"], error["image"]) == ("mail-1", "node-1", "shop:1.4")
    assert error["exit_code"] == 137
    assert "had reached its memory limit" in error["message"]
    assert "had reached its memory limit" in worker.log()

    # Somebody's kill -9 is none.
    worker.ready()
    held = send("hold", "held", 60)
    run = eventually(lambda: [one for one in worker.runs() if one.name == "held"], 30)[0]
    os.kill(run.pid, signal.SIGKILL)
    worker.release("held")
    ended = producer.inspector.wait(held, queue="work", deadline=time.monotonic() + 30)
    assert ended is not None
    assert [one["error"] for one in ended.errors] == ["WorkerDied"]
