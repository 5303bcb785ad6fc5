"""Runs a program of `dramatiq_programs/` under each kind of worker: ours with one thread and with several, in this process
and as `jobyard worker`, and Dramatiq's own.

A test file names its program in `PROGRAM`; the fixture `program` is that program with a worker running. It serves all tests of
the file, so each test takes a topic of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import dramatiq
import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Job
from jobyard.worker.worker import JobyardWorker, boot
from support.ledger import audit
from support.processes import end, spawn
from support.servers import Server
from support.waiting import eventually

HERE: Final = Path(__file__).parent

Engine = Literal["inline", "threads", "jobyard", "dramatiq"]
COMMANDS: Final[dict[Engine, tuple[str, ...]]] = {"jobyard": ("jobyard", "worker"), "dramatiq": ("dramatiq",)}
#: `inline`: JobyardWorker with one thread; `threads`: with four; `jobyard`: `jobyard worker MODULE --processes 1 --threads 4`;
#: `dramatiq`: `dramatiq MODULE --processes 1 --threads 4`.
ENGINES: Final = (
    "inline",
    "threads",
    pytest.param("jobyard", marks=pytest.mark.slow),
    pytest.param("dramatiq", marks=pytest.mark.slow),
)


class Program:
    """One program, imported in this process as the application that sends, and run by a worker."""

    def __init__(self, name: str, engine: Engine, server: Server, directory: Path) -> None:
        self.name = f"dramatiq_programs.{name}"
        self.engine: Engine = engine
        self.url = server.url
        self.namespace = f"test-{uuid.uuid4().hex[:12]}"
        self._redis = server.client(decode_responses=True)
        self._log = directory / "worker.log"
        self._worker: JobyardWorker | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {"REDIS_URL": self.url, "NAMESPACE": self.namespace}
        self._before = dramatiq.broker.global_broker, dramatiq.get_encoder(), dict(os.environ)
        os.environ.update(self._environment)
        for module in [one for one in sys.modules if one.partition(".")[0] == "dramatiq_programs"]:
            del sys.modules[module]
        self.module: ModuleType = importlib.import_module(self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    @property
    def broker(self) -> JobyardBroker:
        broker: JobyardBroker = self.module.broker
        return broker

    # Its worker ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a worker."""
        if self.engine in COMMANDS:
            program, *words = COMMANDS[self.engine]
            command = [Path(sys.executable).with_name(program), *words, self.name, "--path", HERE]
            environment = {**os.environ, "DIE_WITH_PARENT": "1", "PYTHONUNBUFFERED": "1"}
            with self._log.open("ab") as log:
                self._process = spawn(
                    [*command, "--processes", "1", "--threads", "4"], env=environment, stdout=log, stderr=log
                )
        else:
            boot(self.broker)
            self._worker = JobyardWorker(self.broker, worker_threads=1 if self.engine == "inline" else 4)
            self._worker.start()

    def stop(self) -> None:
        """Stop it in order."""
        if self._process is not None:
            end(self._process, 20)
            self._process = None
        if self._worker is not None:
            complaint = self._worker.complaint()
            self._worker.stop(timeout=5000)
            self._worker = None
            assert complaint is None, complaint

    def close(self) -> None:
        """Stop, and check that no job is lost or left over."""
        try:
            self.stop()
            audit(self.broker)
        finally:
            self.broker.close()
            self._redis.close()
            dramatiq.broker.global_broker, encoder, environment = self._before
            dramatiq.set_encoder(encoder)
            os.environ.clear()
            os.environ.update(environment)

    def log(self) -> str:
        """What a worker of another process has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # What happens --------------------------------------------------------------------------------------------------

    def notes(self, topic: str, least: int = 0) -> list[Any]:
        """What the program has noted under a topic, once there are at least so many notes. A single thing stands by itself."""
        key = f"notes-{self.namespace}:{topic}"
        self.eventually(lambda: self._redis.llen(key) >= least, what=f"{least} notes on {topic}")
        notes = [json.loads(one) for one in self._redis.lrange(key, 0, -1)]
        return [one[0] if len(one) == 1 else one for one in notes]

    def job(self, message: Message[Any]) -> Job:
        """The job as it is now."""
        job = self.broker.inspector.job(message.message_id, queue=message.queue_name)
        assert job is not None
        return job

    def ended(self, message: Message[Any], state: str = "completed") -> Job:
        """The job, once it has ended."""
        job = self.broker.inspector.wait(
            message.message_id, queue=message.queue_name, deadline=time.monotonic() + 20, expected=True
        )
        assert job is not None
        assert job.state == state, f"{job}\n{self.log()[-5000:]}"
        return job

    def delayed(self, message: Message[Any]) -> Job:
        """The job, once it waits for its time; after its first run, if `send` did not delay it."""
        self.eventually(lambda: self.job(message).state == "delayed", what="the job waits for another attempt")
        return self.job(message)

    def eventually(self, condition: Callable[[], Any], *, what: str) -> None:
        try:
            eventually(condition, 20, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-5000:]}") from None


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each test that uses it runs once for each."""
    chosen: Engine = request.param
    return chosen


@pytest.fixture(scope="module")
def load(
    shared_servers: Callable[[Any], Server], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Engine], Program]:
    """Imports a program: `load("retrying", "inline")`. Whoever calls it closes it."""
    sys.path.insert(0, str(HERE))

    def load(name: str, engine: Engine) -> Program:
        return Program(name, engine, shared_servers("valkey"), tmp_path_factory.mktemp(name))

    yield load  # type: ignore[misc] # a fixture's function is a generator here
    sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def program(
    request: pytest.FixtureRequest, load: Callable[[str, Engine], Program], engine: Engine
) -> Iterator[Program]:
    """The program that the test file names in `PROGRAM`, with a worker running."""
    one = load(request.module.PROGRAM, engine)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture
def topic() -> str:
    """What this test's notes are called."""
    return uuid.uuid4().hex[:8]
