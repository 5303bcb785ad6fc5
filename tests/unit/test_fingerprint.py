"""Failures that are the same have the same fingerprint, whatever their particulars."""

from __future__ import annotations

import json
import string
import types
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.broker.delivery import describe
from jobyard.broker.fingerprint import Fingerprint, fingerprint, place_of, template_of

#: What differs between two failures that are the same.
NUMBERS = (
    st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.uuids().map(str)
    | st.uuids().map(lambda one: one.hex)
    | st.integers(min_value=0).map(hex)
    | st.datetimes().map(lambda one: one.isoformat())
    | st.ip_addresses(v=4).map(lambda one: f"{one}:6379")
)
PLAIN = st.text(string.ascii_letters + string.digits + " .,:/-_@", min_size=0, max_size=60)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=20)


@given(NUMBERS)
def test_numbers_and_identifiers_do_not_tell_failures_apart(number: str) -> None:
    assert template_of(f"order {number} is closed") == "order # is closed"
    assert template_of(f"id={number}, (code {number})") == "id=#, (code #)"


@given(PLAIN, st.sampled_from("\"'`"))
def test_quoted_texts_do_not_tell_failures_apart(text: str, quote: str) -> None:
    assert template_of(f"unknown column {quote}{text}{quote} here") == "unknown column <text> here"


@given(st.lists(NAMES, min_size=2, max_size=5), st.sampled_from(["/", "./", "C:\\", "~/"]))
def test_paths_do_not_tell_failures_apart(names: list[str], start: str) -> None:
    path = start + ("\\" if "\\" in start else "/").join(names)
    assert template_of(f"can't open {path} for reading") == "can't open <path> for reading"


@given(st.text())
def test_any_text_has_a_template_that_is_one_short_line(text: str) -> None:
    template = template_of(text)
    assert len(template) <= 200
    assert template == " ".join(template.split())


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("", ""),
        ("mailbox full", "mailbox full"),
        ("I can't, you won't", "I can't, you won't"),
        ("no user ada@example.org", "no user <email>"),
        ("GET https://example.org/x?y=1 answered 503", "GET <url> answered #"),
        ("<Order object at 0x7f3a5c>", "<Order object at #>"),
        ("line one\n  line two", "line one line two"),
        ("[Errno 2] No such file or directory: '/tmp/a b'", "[Errno #] No such file or directory: <text>"),
        ("took 2.5s, limit 1.0s", "took #, limit #"),
        ("commit deadbeefcafe", "commit #"),
    ],
)
def test_what_a_template_looks_like(message: str, template: str) -> None:
    assert template_of(message) == template


def raised(function: types.FunctionType, *arguments: object) -> BaseException:
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is wanted
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)  # Without this frame.
    raise AssertionError("it raised nothing")


def load(source: str, module: str, file: str) -> dict[str, types.FunctionType]:
    found: dict[str, types.FunctionType] = {"__name__": module}  # type: ignore[dict-item] # as a module has it
    exec(compile(source, file, "exec"), found)
    return found


def test_the_place_is_the_innermost_one_in_the_application() -> None:
    client = load("def get(n): raise OSError(n)", "http_client", "/x/site-packages/http_client/api.py")
    app = load("def fetch(get, n):\n  get(n)\ndef job(get, n):\n  fetch(get, n)", "shop.orders", "/app/shop/orders.py")
    assert place_of(raised(app["job"], client["get"], 1)) == "shop.orders:fetch"
    # The standard library, by the way, is not the application either.
    assert place_of(raised(app["job"], json.loads, "{")) == "shop.orders:fetch"


def test_an_application_that_is_installed_is_one_all_the_same() -> None:
    client = load("def get(n): raise OSError(n)", "http_client", "/x/site-packages/http_client/api.py")
    app = load("def job(get, n): get(n)", "shop.jobs", "/x/site-packages/shop/jobs.py")
    assert place_of(raised(app["job"], client["get"], 1)) == "shop.jobs:job"


def test_an_error_that_was_not_raised_has_no_place() -> None:
    assert place_of(ValueError("x")) == ""


def test_a_failure_keeps_its_fingerprint_when_lines_move_and_particulars_change() -> None:
    source = "def job(n): raise ValueError(f'order {n} is closed')"
    before = load(source, "shop.jobs", "/app/shop/jobs.py")
    after = load("\n\n\n" + source, "shop.jobs", "/srv/shop/jobs.py")
    first, second = raised(before["job"], 1), raised(after["job"], uuid.uuid4())
    assert fingerprint(first, str(first)) == fingerprint(second, str(second))


def test_type_place_and_template_tell_failures_apart() -> None:
    source = "def a(e): raise e\ndef b(e): raise e"
    app = load(source, "shop.jobs", "/app/shop/jobs.py")
    found: set[Fingerprint] = set()
    for function in ("a", "b"):
        for error in (ValueError("x"), OSError("x"), OSError("y")):
            again = raised(app[function], error)
            found.add(fingerprint(again, str(again)))
    assert len({one.group for one in found}) == 6


def test_an_attempts_error_is_kept_with_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_IMAGE", "registry.example.org/shop:1.4")
    error = raised(load("def job(): raise ValueError('order 5')", "shop.jobs", "/app/jobs.py")["job"])
    detail = json.loads(describe(error))
    assert next(iter(detail)) == "group", "the scripts look for it there"
    assert (detail["place"], detail["template"]) == ("shop.jobs:job", "order #")
    assert detail["group"] == fingerprint(error, "order 6").group
    assert detail["image"] == "registry.example.org/shop:1.4"
    monkeypatch.delenv("JOBYARD_IMAGE")
    assert "image" not in json.loads(describe(error))
