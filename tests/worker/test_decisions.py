"""What the supervisor decides, as pure functions: how many processes, whom to start and to drain, and when."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobyard.worker.backoff import LONGEST_PAUSE, WELL_AFTER, Backoff
from jobyard.worker.cpu import cpu_limit, processes_for
from jobyard.worker.settings import WorkerSettings, WorkerSettingsError
from jobyard.worker.staffing import Member, Orders, orders

# Processors --------------------------------------------------------------------------------------------------------


def system(root: Path, files: dict[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param({}, None, id="no cgroups"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5, id="v2, in a container"
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None, id="v2, without a limit"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/kubepods/pod1/c2\n",
                "sys/fs/cgroup/kubepods/pod1/c2/cpu.max": "max 100000",
                "sys/fs/cgroup/kubepods/pod1/cpu.max": "400000 100000",
                "sys/fs/cgroup/kubepods/cpu.max": "800000 100000",
            },
            4.0,
            id="v2, the strictest of the parents",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "200000 100000"},
            2.0,
            id="v2, started outside of what the container can see",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/docker/abc\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            0.5,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
            id="v1, in a container: its own cgroup is the mount",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
            id="v1, without a limit",
        ),
        pytest.param(
            {"proc/self/cgroup": "nonsense\n::\n", "sys/fs/cgroup/cpu.max": "what\n"},
            None,
            id="what nobody understands",
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "0 0\n"}, None, id="zeros"),
    ],
)
def test_the_cpu_limit_is_the_cgroups(tmp_path: Path, files: dict[str, str], limit: float | None) -> None:
    assert cpu_limit(system(tmp_path, files)) == limit


@pytest.mark.parametrize(
    ("quota", "processors", "processes"),
    [(50_000, 8, 1), (100_000, 8, 1), (140_000, 8, 1), (150_000, 8, 2), (400_000, 8, 4), (400_000, 2, 2)],
)
def test_processes_are_the_limit_rounded_but_no_more_than_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: int, processors: int, processes: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)))
    root = system(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota} 100000"})
    assert processes_for(root) == processes


def test_without_a_limit_there_are_as_many_processes_as_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 4})
    assert processes_for(tmp_path) == 3


# Whom to start and to drain ----------------------------------------------------------------------------------------


def members(text: str) -> list[Member]:
    """R: ready, s: starting; with a dash: shall leave. Their keys are 0, 1, 2 …"""
    return [Member(key, one[0] == "R", one.endswith("-")) for key, one in enumerate(text.split())]


@pytest.mark.parametrize(
    ("text", "wanted", "what"),
    [
        pytest.param("", 3, Orders(start=3), id="all are missing"),
        pytest.param("R s", 3, Orders(start=1), id="one is missing"),
        pytest.param("R R", 2, Orders(), id="all is well"),
        pytest.param("R- R", 2, Orders(start=1), id="a successor is started first"),
        pytest.param("R- R- R- R-", 4, Orders(start=1), id="one after another"),
        pytest.param("R- R s", 2, Orders(), id="the successor isn't ready"),
        pytest.param("R- R R", 2, Orders(drain=[0]), id="the successor is ready"),
        pytest.param("R- R- s", 2, Orders(), id="two shall leave, one successor is starting"),
        pytest.param("R- R- R", 2, Orders(drain=[0]), id="two shall leave, one can"),
        pytest.param("R- R", 2, Orders(start=1), id="then the next"),
        pytest.param("R-", 2, Orders(start=1), id="one crashed meanwhile"),
        pytest.param("s- s", 1, Orders(drain=[0]), id="one that isn't ready serves nobody"),
        pytest.param("R R- s-", 2, Orders(drain=[2]), id="old code that is still starting goes first"),
        pytest.param("s-", 1, Orders(start=1), id="but not without a successor"),
    ],
)
def test_a_process_is_drained_when_its_successor_is_ready_and_never_before(
    text: str, wanted: int, what: Orders
) -> None:
    assert orders(members(text), wanted) == what


def test_any_number_of_processes_are_replaced_without_ever_being_fewer() -> None:
    for wanted in (1, 2, 5):
        here = [Member(key, True, True) for key in range(wanted)]
        for key in range(100, 200):
            todo = orders(here, wanted)
            here = [one for one in here if one.key not in todo.drain]
            assert sum(one.ready for one in here) >= wanted
            if todo == Orders():
                # Nothing to do: what starts becomes ready.
                here = [Member(one.key, True, one.leaving) for one in here]
            here += [Member(key * 1000 + number, False, False) for number in range(todo.start)]
            assert len(here) <= wanted + 1
        assert not any(one.leaving for one in here)
        assert len(here) == wanted


# When --------------------------------------------------------------------------------------------------------------


def test_the_first_crash_costs_nothing_and_the_next_ones_more_and_more() -> None:
    backoff = Backoff()
    assert [backoff.crashed(100, 0.1) for _ in range(5)] == [0, 0.5, 1, 2, 4]
    assert max(backoff.crashed(100, 0.1) for _ in range(100)) == LONGEST_PAUSE


def test_a_pause_ends() -> None:
    backoff = Backoff()
    backoff.crashed(100, 0)
    assert backoff.wait(100) == 0
    backoff.crashed(100, 0)
    assert backoff.wait(100.2) == pytest.approx(0.3)
    assert backoff.wait(101) == 0


def test_after_a_life_in_health_a_crash_is_a_first_one_again() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.crashed(0, 0)
    assert backoff.crashed(10_000, WELL_AFTER) == 0


# Settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"modules": ()}, "name at least one module"),
        ({"modules": ("app/jobs.py",)}, "'app/jobs.py' is not a module's name"),
        ({"modules": ("app:",)}, "'app:' is not a module's name"),
        ({"modules": ("app..jobs",)}, "is not a module's name"),
        ({"queues": ("mail", "no spaces")}, "--queues: 'no spaces' can't be a queue's name"),
        ({"processes": 0}, "--processes is a number from 1 to 1024, not 0"),
        ({"threads": 5000}, "--threads is a number from 1 to 1024, not 5000"),
        ({"grace": -1}, "--grace is a number from 0"),
        ({"grace": float("nan")}, "--grace is a number from 0"),
        ({"max_jobs": 0}, "--max-jobs"),
        ({"max_crashes": 0}, "--max-crashes is a number from 1"),
        ({"max_memory": 1}, "--max-memory is a number from 16"),
        ({"probe_port": 70_000}, "--probe-port is a number from 0 to 65535, not 70000"),
        ({"log_level": "loud"}, "--log-level is one of debug, info"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_message_that_names_them(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(WorkerSettingsError) as caught:
        WorkerSettings(**{"modules": ("app",), **wrong})  # type: ignore[arg-type] # they are wrong on purpose
    assert message in str(caught.value)


@pytest.mark.parametrize("module", ["app", "app.jobs", "app.main:broker", "app.main:make.broker", "größe.größe"])
def test_modules_are_named_as_in_an_import_statement(module: str) -> None:
    assert WorkerSettings(modules=(module,)).modules == (module,)


@pytest.mark.parametrize(
    ("host", "kubernetes", "bound"),
    [(None, False, "127.0.0.1"), (None, True, None), ("*", False, None), ("10.0.0.1", True, "10.0.0.1")],
)
def test_probes_are_open_to_others_only_inside_kubernetes_or_when_told_so(
    monkeypatch: pytest.MonkeyPatch, host: str | None, kubernetes: bool, bound: str | None
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if kubernetes:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert WorkerSettings(modules=("app",), probe_host=host).probe_addresses() == bound
