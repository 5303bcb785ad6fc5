"""Commands by annotation: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard_operator.core.commands import CommandError, DeadCommand, is_new, parse

RETRY, DISCARD = "jobyard.dev/retry-dead", "jobyard.dev/discard-dead"
ID = "4be1f0c2-8c1d-4c4f-9a77-2d1f0a3b5c6d"


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ("all", DeadCommand(action="retry")),
        ("all #2", DeadCommand(action="retry")),
        ("all#1764000000", DeadCommand(action="retry")),
        (ID, DeadCommand(action="retry", ids=(ID,))),
        (f"{ID}, order-7, {ID}", DeadCommand(action="retry", ids=(ID, "order-7"))),
        (f"{ID} rate=2", DeadCommand(action="retry", ids=(ID,), rate=2)),
        (
            "actor=send_email,error=Timeout limit=100 rate=0.5",
            DeadCommand(action="retry", actor="send_email", error="Timeout", limit=100, rate=0.5),
        ),
        ('error="connection refused, twice"', DeadCommand(action="retry", error="connection refused, twice")),
        ("older-than:7d", DeadCommand(action="retry", older_than=7 * 86_400)),
        ("older-than=90m all", DeadCommand(action="retry", older_than=5400)),
        ("all limit=5", DeadCommand(action="retry", limit=5)),
    ],
)
def test_what_they_mean(value: str, command: DeadCommand) -> None:
    assert parse(RETRY, value) == command


def test_the_annotation_says_what_is_done() -> None:
    assert parse(DISCARD, "older-than:7d").action == "discard"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("limit=5", "which jobs are meant"),
        ("rate=5", "which jobs are meant"),
        ("older-than:soon", "older-than:7d"),
        ("all limit=0", "whole number"),
        ("all limit=-3", "whole number"),
        ("all rate=0", "jobs a second"),
        ("all rate=1e9", "jobs a second"),
        ("actor=", "needs a value"),
        ("actor=a actor=b", "twice"),
        ("tenant=acme", "neither a job's id nor one of"),
        (f"{ID} actor=a", "not both"),
        (f"all {ID}", "not both"),
        ('error="open', "quotation mark"),
        ("x" * 2000, "longer than"),
        ("a b/c", "neither a job's id"),
    ],
)
def test_what_is_wrong_is_said(value: str, words: str) -> None:
    with pytest.raises(CommandError, match=words) as caught:
        parse(RETRY, value)
    assert str(caught.value).startswith(RETRY)


@given(st.text(max_size=200))
def test_no_text_does_anything_but_mean_something_or_be_refused(value: str) -> None:
    try:
        command = parse(DISCARD, value)
    except CommandError:
        return
    # Nothing discards all dead letters by mistake.
    assert "all" in value or command.ids or command.actor or command.error or command.older_than


def test_a_value_is_handled_once() -> None:
    assert is_new("all", None)
    assert not is_new("all", "all")
    assert is_new("all #2", "all")
    assert not is_new(None, "all")
