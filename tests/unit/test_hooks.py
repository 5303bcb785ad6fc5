"""Middleware hooks: which are called, in which order, and what becomes of their exceptions."""

from __future__ import annotations

import logging

import pytest
from dramatiq.middleware import Middleware, SkipMessage

from jobyard.broker.hooks import Hooks

LOGGER = logging.getLogger("test")


class Named(Middleware):
    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls


class Both(Named):
    def before_enqueue(self, *args: object) -> None:
        self.calls.append(f"before {self.name}")

    def after_enqueue(self, *args: object) -> None:
        self.calls.append(f"after {self.name}")


class Idle(Named):
    pass


class Broken(Named):
    error: type[BaseException] = RuntimeError

    def before_enqueue(self, *args: object) -> None:
        raise self.error("on purpose")

    after_enqueue = before_enqueue


def test_before_hooks_run_in_the_order_of_the_list_and_after_hooks_in_reverse() -> None:
    calls: list[str] = []
    hooks = Hooks([Both("a", calls), Idle("i", calls), Both("b", calls)], LOGGER)
    hooks.before("before_enqueue")
    hooks.after("after_enqueue")
    assert calls == ["before a", "before b", "after b", "after a"]


def test_only_what_is_overridden_is_bound() -> None:
    hooks = Hooks([Idle("i", []), Both("a", [])], LOGGER)
    assert len(hooks.bound("before_enqueue")) == 1
    assert hooks.bound("before_ack") == ()


def test_a_hook_of_an_own_name_is_called() -> None:
    class Own(Middleware):
        def before_breakfast(self) -> None: ...

    assert len(Hooks([Own(), Middleware()], LOGGER).bound("before_breakfast")) == 1


def test_some_kinds_can_come_first_after_a_job() -> None:
    calls: list[str] = []

    class First(Both): ...

    hooks = Hooks([First("first", calls), Both("a", calls), Both("b", calls)], LOGGER, first=(First,))
    hooks.after("after_enqueue")
    assert calls == ["after first", "after b", "after a"]


def test_one_broken_hook_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    hooks = Hooks([Both("a", calls), Broken("x", calls), Both("b", calls)], LOGGER)
    hooks.before("before_enqueue")
    hooks.after("after_enqueue")
    assert calls == ["before a", "before b", "after b", "after a"]
    assert caplog.text.count("Unexpected failure") == 2


def test_a_skip_goes_through_before_and_is_logged_after() -> None:
    class Skipping(Broken):
        error = SkipMessage

    hooks = Hooks([Skipping("x", [])], LOGGER)
    with pytest.raises(SkipMessage):
        hooks.before("before_enqueue")
    hooks.after("after_enqueue")


def test_what_ends_a_process_goes_through_unless_it_is_contained() -> None:
    class Ending(Broken):
        error = SystemExit

    with pytest.raises(SystemExit):
        Hooks([Ending("x", [])], LOGGER).after("after_enqueue")
    Hooks([Ending("x", [])], LOGGER, contained=BaseException).after("after_enqueue")
