"""Middleware hooks, bound once: of each hook only the middleware that really overrides it.

Dramatiq looks up and calls every hook of every middleware for every job; most of them are empty. The order is Dramatiq's
(before: as added; after: reversed), and so is what happens to an exception.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from dramatiq.middleware import Middleware, MiddlewareError

Hook = Callable[..., Any]


class Hooks:
    """The hooks of a list of middleware. Make a new one when the list changes.

    Args:
        contained: what a hook may raise without stopping the others. A worker's thread must outlive even SystemExit; where
            applications call, Ctrl-C must get through.
        first: kinds of middleware whose after-hooks are called before all others.
    """

    def __init__(
        self,
        middleware: Sequence[Middleware],
        logger: logging.Logger,
        *,
        contained: type[BaseException] = Exception,
        first: tuple[type[Middleware], ...] = (),
    ) -> None:
        self._middleware = tuple(middleware)
        self._logger = logger
        self._contained = contained
        self._first = first
        self._bound: dict[str, tuple[Hook, ...]] = {}

    def bound(self, name: str) -> tuple[Hook, ...]:
        """The hooks called `before_…` or `after_…` this, in the order in which they are called."""
        found = self._bound.get(name)
        if found is None:
            empty = getattr(Middleware, name, None)
            order = list(self._middleware)
            if name.startswith("after_"):
                order.reverse()
                order.sort(key=lambda one: not isinstance(one, self._first))
            found = tuple(getattr(one, name) for one in order if getattr(type(one), name, None) is not empty)
            self._bound[name] = found
        return found

    def before(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Call the before-hooks. A `MiddlewareError` (`SkipMessage` is one) goes through; others are logged."""
        for hook in self.bound(name):
            try:
                hook(*args, **kwargs)
            except MiddlewareError:
                raise
            except self._contained:  # As in Dramatiq: one broken middleware must not stop the others.
                self._logger.critical("Unexpected failure in %s.", hook, exc_info=True)

    def after(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Call the after-hooks. Exceptions are logged."""
        for hook in self.bound(name):
            try:
                hook(*args, **kwargs)
            except self._contained:
                self._logger.critical("Unexpected failure in %s.", hook, exc_info=True)
