"""Keys from a setting or a file: their order, their rotation, and what is said of wrong ones without showing them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobyard.broker import key_ring
from jobyard.broker.key_ring import KeyRing

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
TEXT_ONE, TEXT_TWO = (base64.b64encode(key).decode() for key in (ONE, TWO))


@pytest.fixture
def always_look() -> Iterator[None]:
    before = key_ring._LOOK
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_ring, "_LOOK", 0.0)
        yield
    assert before == key_ring._LOOK


def test_the_first_key_is_the_one_for_what_is_new() -> None:
    ring = KeyRing.from_text(f"b:{TEXT_TWO}, a:{TEXT_ONE}\n", "KEYS")
    assert ring.first() == ("b", TWO)
    assert (ring.get("a"), ring.get("b"), ring.get("c")) == (ONE, TWO, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no key in it"),
        (" , \n", "there is no key in it"),
        (TEXT_ONE, "key 1 is not NAME:BASE64"),
        (f"a b:{TEXT_ONE}", "key 1 is not NAME:BASE64"),
        (f"a:{TEXT_ONE},b:?", "key 'b' is not BASE64"),
        ("a:c2hvcnQ=", "key 'a' has 5 bytes instead of 32"),
        (f"a:{TEXT_ONE},a:{TEXT_TWO}", "there are two keys 'a'"),
    ],
)
def test_what_is_wrong_is_said_and_no_key_is_shown(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="KEYS") as caught:
        KeyRing.from_text(text, "KEYS")
    assert said in str(caught.value)
    assert TEXT_ONE not in str(caught.value)
    assert "c2hvcnQ" not in str(caught.value)


@pytest.mark.usefixtures("always_look")
def test_a_file_is_read_anew_when_it_is_replaced_as_a_mounted_secret_is(tmp_path: Path) -> None:
    first, second, link = tmp_path / "first", tmp_path / "second", tmp_path / "keys"
    first.write_text(f"a:{TEXT_ONE}")
    second.write_text(f"b:{TEXT_TWO}\na:{TEXT_ONE}\n")
    link.symlink_to(first)
    ring = KeyRing.from_file(link, "KEYS_FILE")
    assert ring.first() == ("a", ONE)
    (tmp_path / "new").symlink_to(second)
    (tmp_path / "new").replace(link)
    assert ring.first() == ("b", TWO)
    assert ring.get("a") == ONE


def test_a_key_that_is_missed_is_looked_for_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"a:{TEXT_ONE}")
    ring = KeyRing.from_file(file, "KEYS_FILE")
    assert ring.get("b") is None
    file.write_text(f"a:{TEXT_ONE},b:{TEXT_TWO}")
    assert ring.get("b") == TWO


@pytest.mark.usefixtures("always_look")
def test_the_keys_stay_while_the_file_is_away_or_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text(f"a:{TEXT_ONE}")
    ring = KeyRing.from_file(file, "KEYS_FILE")
    file.unlink()
    assert ring.first() == ("a", ONE)
    file.write_text("nonsense")
    assert ring.first() == ("a", ONE)
    assert "The keys read before are kept" in caplog.text
    file.write_text(f"b:{TEXT_TWO}")
    assert ring.first() == ("b", TWO)


def test_a_file_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"KEYS_FILE: .*can't be read"):
        KeyRing.from_file(tmp_path / "none", "KEYS_FILE")
