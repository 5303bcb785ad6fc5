"""Imports an application's modules in a worker process, and finds out which broker they use."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq import broker as current
from pydantic import ValidationError

from jobyard.broker import JobyardBroker, get_broker
from jobyard.errors import JobyardError
from jobyard.worker.statuses import Status

_logger = logging.getLogger(__name__)


class LoadError(JobyardError):
    """The application can't be loaded.

    Attributes:
        status: what the supervisor should exit with, since trying again can't help; None: it may help.
    """

    def __init__(self, message: str, status: Status | None = None) -> None:
        super().__init__(message)
        self.status = status


def load(modules: Sequence[str], path: Sequence[str]) -> JobyardBroker:
    """Import the modules, in this order, and return the broker that they use.

    Before that, a broker from the settings is Dramatiq's global one, so that actors have one to be declared on. A module may
    set another with `dramatiq.set_broker`, before it declares actors; `module:attribute` names one, or a function that is
    called without arguments and may return one.

    Args:
        path: directories that come first where modules are looked for.

    Raises:
        LoadError: says what went wrong.
    """
    for directory in reversed(path):
        sys.path.insert(0, str(Path(directory).absolute()))
    standard = _standard_broker()
    for name in modules:
        module, _, attribute = name.partition(":")
        loaded = _import(module)
        if attribute:
            _use(loaded, name, attribute)
    broker = current.global_broker
    if not isinstance(broker, JobyardBroker):
        kind = "no broker" if broker is None else f"a {type(broker).__module__}.{type(broker).__qualname__}"
        raise LoadError(
            f"the modules set {kind} as Dramatiq's broker, and this worker serves a jobyard.JobyardBroker: set one with "
            "dramatiq.set_broker(jobyard.JobyardBroker(…)), or set none, and JOBYARD_REDIS_URL says where Redis is",
            Status.USAGE,
        )
    if broker is not standard and standard.actors:
        _logger.warning(
            "These actors were declared before the modules set their broker, so they belong to another one and do not run "
            "here: %s. Call dramatiq.set_broker before they are imported.",
            ", ".join(sorted(standard.actors)),
        )
    return broker


def _standard_broker() -> dramatiq.Broker:
    try:
        return get_broker()
    except ValidationError as error:
        wrong = "; ".join(
            f"JOBYARD_{'_'.join(str(step) for step in detail['loc']).upper()}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise LoadError(f"the settings are wrong: {wrong}", Status.USAGE) from None
    except ValueError as error:
        raise LoadError(f"the settings are wrong: JOBYARD_REDIS_URL: {error}", Status.USAGE) from None


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise LoadError(
                f"there is no module {name!r} (no {error.name!r} in {', '.join(sys.path[:3])} …): is the name right, and "
                "does --path name the directory that it is in?",
                Status.USAGE,
            ) from None
        raise LoadError(f"module {name!r} can't be imported:\n{_shortened()}") from error
    except (Exception, SystemExit) as error:  # whatever the code of a module may raise
        raise LoadError(f"module {name!r} can't be imported:\n{_shortened()}") from error


def _use(module: Any, name: str, attribute: str) -> None:
    """Make the named broker the global one."""
    try:
        named = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise LoadError(f"{name!r}: the module has no {attribute!r}", Status.USAGE) from None
    if callable(named) and not isinstance(named, dramatiq.Broker):
        try:
            named = named()
        except (Exception, SystemExit) as error:  # whatever the application's function may raise
            raise LoadError(f"{name!r}: the function raised:\n{_shortened()}") from error
        if named is None:
            return  # It has set the broker itself, or only had something to prepare.
    if not isinstance(named, dramatiq.Broker):
        raise LoadError(
            f"{name!r} is neither a broker nor a function that returns one, but a {type(named).__name__}", Status.USAGE
        )
    dramatiq.set_broker(named)


def _shortened() -> str:
    """The traceback from the application's code on, without the steps of the import machinery."""
    _, error, trace = sys.exc_info()
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if frame.filename not in (__file__, importlib.__file__) and not frame.filename.startswith("<frozen importlib")
    ]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)]).rstrip()
