"""Pickles are read without running anything of them."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jobyard.migrate.literal_pickle import NotLiteralError, load_literal
from jobyard.migrate.plainness import check_plain
from jobyard.migrate.source import CantMoveError

scalars = some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text()
values = some.recursive(
    scalars,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.lists(inner, max_size=4).map(tuple)
        | some.dictionaries(some.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=values, protocol=some.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back_the_same(value: Any, protocol: int) -> None:
    assert load_literal(pickle.dumps(value, protocol=protocol)) == value


@given(some.binary(max_size=200))
def test_rubbish_is_refused_in_words(data: bytes) -> None:
    with suppress(NotLiteralError):
        load_literal(data)  # Nothing else may come out of it.


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_does_not_run(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(mark),)

    with pytest.raises(NotLiteralError, match="more than plain values"):
        load_literal(pickle.dumps(("shop.send", None, (Evil(),), {}), protocol=protocol))
    assert not mark.exists()


@pytest.mark.parametrize("value", [datetime.now(UTC), {1}, b"x", {1: 2}, complex(1, 2), object(), len])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(NotLiteralError):
        load_literal(pickle.dumps(value))


def test_what_holds_itself_or_is_shared_without_end_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    bomb: list[Any] = ["x"]
    for _ in range(60):
        bomb = [bomb, bomb]
    for value in (loop, bomb):
        with pytest.raises(CantMoveError):
            check_plain(load_literal(pickle.dumps([value])), {})
