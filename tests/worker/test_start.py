"""Starting: what is refused, with which words and which exit status; and what is served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.workers import list_workers
from support.servers import Server
from support.waiting import eventually
from worker.process import PROGRAMS, WorkerProcess

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]


def program(folder: Path, text: str) -> Path:
    """A folder with a module `mine`."""
    (folder / "mine.py").write_text(text)
    return folder


def test_a_module_that_does_not_exist_is_told_at_once(start: Start) -> None:
    worker = start("app.nothing", "--processes", "2")
    assert worker.wait() == 2
    assert "there is no module 'app.nothing'" in worker.log()
    assert "Traceback" not in worker.log()


def test_a_module_that_sets_another_broker_is_told_at_once(start: Start, tmp_path: Path) -> None:
    code = "import dramatiq\nfrom dramatiq.brokers.stub import StubBroker\ndramatiq.set_broker(StubBroker())\n"
    worker = start("mine", path=program(tmp_path, code))
    assert worker.wait() == 2
    assert "the modules set a dramatiq.brokers.stub.StubBroker as Dramatiq's broker" in worker.log()


def test_a_worker_without_anything_to_serve_is_told_at_once(start: Start, tmp_path: Path) -> None:
    worker = start("mine", path=program(tmp_path, ""))
    assert worker.wait() == 2
    assert "no queue to serve" in worker.log()


def test_a_module_that_raises_is_tried_again(start: Start, tmp_path: Path, send: Send) -> None:
    code = f"import pathlib\nassert pathlib.Path({str(tmp_path / 'there')!r}).exists()\nfrom app import *\n"
    worker = start("mine", "--path", str(PROGRAMS), "--processes", "1", path=program(tmp_path, code))
    eventually(lambda: worker.log().count("module 'mine' can't be imported") >= 2)
    assert "AssertionError" in worker.log()
    assert "importlib" not in worker.log()
    (tmp_path / "there").touch()
    worker.ready()
    send("quick", "done")
    eventually(lambda: worker.names()["done"])


def test_settings_that_make_no_sense_are_told_at_once(start: Start) -> None:
    worker = start("app", environment={"JOBYARD_PATIENCE": "never"})
    assert worker.wait() == 2
    assert "JOBYARD_PATIENCE: Input should be a valid number" in worker.log()


def test_a_url_that_can_t_be_understood_is_told_without_its_password(start: Start) -> None:
    worker = start("app", url="http://user:s3cr3t@redis:6379")
    assert worker.wait() == 2
    assert "JOBYARD_REDIS_URL: can't understand the Redis URL 'http://redis:6379'" in worker.log()
    assert "s3cr3t" not in worker.log()


def test_a_redis_that_drops_keys_is_refused(
    tmp_path: Path, start_server: Callable[..., Server], namespace: str
) -> None:
    server = start_server("valkey", options={"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"})
    worker = WorkerProcess(tmp_path, server.url, namespace, "app", "--processes", "1")
    try:
        assert worker.wait() == 3
        assert "maxmemory-policy" in worker.log()
    finally:
        worker.end()


def test_a_redis_that_wants_another_password_is_refused_and_ours_is_not_logged(
    tmp_path: Path, start_server: Callable[..., Server], namespace: str
) -> None:
    server = start_server("valkey")
    url = server.url.replace("redis://", "redis://nobody:s3cr3t@")
    worker = WorkerProcess(tmp_path, url, namespace, "app", "--processes", "1", "--log-level", "debug")
    try:
        assert worker.wait() == 3
        assert "s3cr3t" not in worker.log()
    finally:
        worker.end()


def test_a_probe_port_that_is_taken_is_told_at_once(start: Start) -> None:
    first = start("app", "--processes", "1").ready()
    second = jobyard_worker("app", "--probe-port", str(first.port))
    assert second.returncode == 2
    assert f"Can't serve probes on port {first.port}: " in second.stderr
    assert "Choose another with --probe-port; 0: no probes" in second.stderr


def test_only_the_named_queues_are_served(start: Start, send: Send, producer: JobyardBroker, tmp_path: Path) -> None:
    code = """
import os, jobyard
@jobyard.actor(queue_name="other")
def elsewhere(): ...
from app import quick
"""
    worker = start("mine", "--path", str(PROGRAMS), "--queues", "work", path=program(tmp_path, code)).ready()
    send("quick", "done")
    eventually(lambda: worker.names()["done"])
    assert {tuple(one.queues) for one in list_workers(producer)} == {("work",)}
    assert "elsewhere" in list_workers(producer)[0].actors


def test_a_queue_that_no_actor_is_on_is_served_with_a_warning(start: Start) -> None:
    worker = start("app", "--queues", "work,wrok", "--processes", "1").ready()
    assert "No actor of these modules is on wrok" in worker.log()


def test_a_broker_of_the_application_is_used_wherever_it_is(
    start: Start, send: Send, valkey: Server, namespace: str, tmp_path: Path
) -> None:
    code = f"""
import dramatiq, jobyard
broker = jobyard.JobyardBroker({valkey.url!r}, namespace={namespace!r})
dramatiq.set_broker(broker)
from app import *
"""
    away = "redis://127.0.0.1:1/0"
    arguments = ("mine:broker", "--path", str(PROGRAMS), "--processes", "1")
    worker = start(*arguments, url=away, path=program(tmp_path, code)).ready()
    send("quick", "done")
    eventually(lambda: worker.names()["done"])
    # Also for the jobs of the dead: the supervisor knows no Redis, a child does it.
    send("die", "killer")
    eventually(lambda: worker.names()["killer"] == 2)


def test_a_function_may_prepare_the_broker(
    start: Start, send: Send, valkey: Server, namespace: str, tmp_path: Path
) -> None:
    code = f"""
import dramatiq, jobyard
class shop:
    @staticmethod
    def broker():
        return jobyard.JobyardBroker({valkey.url!r}, namespace={namespace!r})
"""
    arguments = ("mine:shop.broker", "app", "--path", str(PROGRAMS), "--processes", "1")
    worker = start(*arguments, url="redis://127.0.0.1:1/0", path=program(tmp_path, code)).ready()
    send("quick", "done")
    eventually(lambda: worker.names()["done"])


def test_actors_that_were_declared_too_early_are_told(start: Start, valkey: Server, tmp_path: Path) -> None:
    code = f"""
from app import *
import dramatiq, jobyard
dramatiq.set_broker(jobyard.JobyardBroker({valkey.url!r}))
@jobyard.actor(queue_name="later")
def late(): ...
"""
    worker = start("mine", "--path", str(PROGRAMS), "--processes", "1", path=program(tmp_path, code)).ready()
    eventually(lambda: "These actors were declared before the modules set their broker" in worker.log())
    assert "quick" in worker.log()


def test_everything_is_told_by_help() -> None:
    text = jobyard_worker("--help", environment={"COLUMNS": "200", "TERM": "dumb"}).stdout
    for word in ("--max-memory", "JOBYARD_GRACE", "HUP", "Exit status", "/readyz", "jobyard worker app.jobs"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["app", "--threads", "0"], "--threads is a number from 1 to 1024, not 0"),
        (["jobs/app.py"], "'jobs/app.py' is not a module's name"),
        (["app", "--queues", "a b,c!"], "--queues: 'c!' can't be a queue's name"),
    ],
)
def test_a_wrong_command_line_is_refused_in_a_line(arguments: list[str], message: str) -> None:
    done = jobyard_worker(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_json_logs_name_the_job(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "1", "--log-format", "json").ready()
    job_id = send("say", "at redis://user:s3cr3t@host")
    line = eventually(lambda: next((line for line in worker.log().splitlines() if '"logger":"app"' in line), None))
    fields = json.loads(line)
    assert (fields["job_id"], fields["actor"], fields["queue"], fields["attempt"]) == (job_id, "say", "work", 1)
    assert (fields["message"], fields["colour"], fields["level"]) == ("at redis://user:***@host", "blue", "warning")
    for other in worker.log().splitlines():
        json.loads(other)


def test_modules_are_found_in_the_current_directory_by_default(valkey: Server, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    environment = {"JOBYARD_REDIS_URL": valkey.url, "JOBYARD_NAMESPACE": namespace}
    done = jobyard_worker("mine:nothing", "--probe-port", "0", folder=tmp_path, environment=environment)
    assert done.returncode == 2
    assert "'mine:nothing': the module has no 'nothing'" in done.stderr


def test_options_can_stand_in_the_environment() -> None:
    done = jobyard_worker("app", environment={"JOBYARD_THREADS": "5000"})
    assert done.returncode == 2
    assert "--threads is a number from 1 to 1024, not 5000" in done.stderr


def jobyard_worker(
    *arguments: str, folder: Path = PROGRAMS, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it; it must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "jobyard.cli", "worker", *arguments],
        capture_output=True, text=True, timeout=20, check=False, cwd=folder, env={**os.environ, **(environment or {})},
    )  # fmt: skip
