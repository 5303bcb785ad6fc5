"""A payload that doesn't fit is refused at enqueue, with the path of each field that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard import PayloadError, Priority
from jobyard.jobs.email import SendEmail, send_email
from jobyard.jobs.email.payload import MAX_RECIPIENTS

MAIL: dict[str, Any] = {"to": "ada@example.org", "subject": "Hello", "body": "Good morning!"}
FILE: dict[str, Any] = {"filename": "a.pdf", "object": "reports/a.pdf"}


def refused(**fields: Any) -> list[str]:
    """The paths that the refusal names, and what it says about them."""
    with pytest.raises(PayloadError) as error:
        send_email.message(**{**MAIL, **fields})
    return [f"{field.path}: {field.message}" for field in error.value.fields]


def test_a_payload_is_stored_as_it_was_given() -> None:
    message = send_email.message(**MAIL, **{"from": "shop@example.org"}, attachments=[FILE])
    assert message.kwargs == {**MAIL, "to": ["ada@example.org"], "from": "shop@example.org", "attachments": [FILE]}
    assert message.queue_name == "emails"
    json.dumps(message.kwargs)


def test_an_instance_of_the_model_is_taken_too() -> None:
    message = send_email.message(SendEmail(**MAIL, from_="shop@example.org", html="<p>"))
    assert message.kwargs == {**MAIL, "to": ["ada@example.org"], "from": "shop@example.org", "html": "<p>"}


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\0", "\x0b", "\x0c", "\x1b", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "Ada{}Bcc: eve@example.org <ada@example.org>"),
        ("to", "ada@example.org{}Bcc: eve@example.org"),
        ("cc", "ada@example.org{}"),
        ("bcc", "{}ada@example.org"),
        ("reply_to", "ada@exa{}mple.org"),
        ("from", "a{}da@example.org"),
        ("only_to", "ada@example.org{}"),
        ("subject", "Hello{}Bcc: eve@example.org"),
        ("message_id", "<a{}b@example.org>"),
    ],
)
def test_a_line_break_in_any_header_field_is_refused(field: str, value: str, line_break: str) -> None:
    [said] = refused(**{field: value.format(line_break)})
    assert said.startswith(f"{field}: ")


@pytest.mark.parametrize("line_break", ["\n", "\r", "\0", "\u2028"])
def test_a_line_break_in_a_list_or_an_attachment_is_refused_with_its_place(line_break: str) -> None:
    assert refused(
        to=["ada@example.org", f"bob@example.org{line_break}"],
        attachments=[FILE, {**FILE, "filename": f"a{line_break}.pdf", "content_type": f"text/pl{line_break}ain"}],
    ) == [
        "to.1: control characters and line breaks are not allowed in an address",
        "attachments.1.filename: control characters and line breaks are not allowed here",
        "attachments.1.content_type: give a media type without parameters, such as application/pdf",
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"to": []}, "to: Value should have at least 1 item"),
        ({"to": "ada"}, "to: an address has the form name@domain; there is no '@'"),
        ({"to": ["ada@example.org", "bob"]}, "to.1: an address has the form"),
        ({"to": ["ada@example.org", 7]}, "to.1: Input should be a valid string"),
        ({"to": 7}, "to: Input should be a valid list"),
        ({"subject": "x" * 501}, "subject: String should have at most 500"),
        ({"subject": None}, "subject: Input should be a valid string"),
        ({"body": "a\0b"}, "body: must not contain the character NUL"),
        ({"body": "x" * 1_000_001}, "body: String should have at most 1000000"),
        ({"html": "a\0b"}, "html: must not contain"),
        ({"subject": "\ud800"}, "subject: "),
        ({"body": "\ud800"}, "body: "),
        ({"from": "Ada"}, "from: an address has the form"),
        ({"sender": "ada@example.org"}, "sender: Extra inputs are not permitted"),
        ({"cc": [f"user{number}@example.org" for number in range(101)]}, "cc: List should have at most 100"),
        ({"attachments": [FILE] * 21}, "attachments: List should have at most 20"),
        ({"attachments": [{"filename": "a"}]}, "attachments.0: give exactly one of url and object"),
        ({"attachments": [{**FILE, "url": "https://example.org/a"}]}, "attachments.0: give exactly one of"),
        ({"attachments": [{**FILE, "size": 1}]}, "attachments.0.size: Extra inputs"),
        ({"attachments": [{**FILE, "filename": " "}]}, "attachments.0.filename: give a file name"),
        ({"attachments": [{**FILE, "filename": "../a"}]}, "attachments.0.filename: give a file name without"),
        ({"attachments": [{**FILE, "filename": "é" * 128}]}, "attachments.0.filename: longer than 255 bytes"),
        ({"attachments": [{**FILE, "content_type": "text/plain; charset=x"}]}, "attachments.0.content_type: give a"),
        ({"attachments": [{**FILE, "content_type": "message/rfc822"}]}, "attachments.0.content_type: a file of this"),
        ({"attachments": [{**FILE, "object": "../secret"}]}, "attachments.0.object: object name '../secret'"),
        ({"attachments": [{"filename": "a", "url": "file:///etc/passwd"}]}, "attachments.0.url: give an http"),
        ({"attachments": [{"filename": "a", "url": "https:///x"}]}, "attachments.0.url: give an http"),
        ({"attachments": [{"filename": "a", "url": "https://[x"}]}, "attachments.0.url: this is not a URL"),
        ({"attachments": [{"filename": "a", "url": "https://u:p@example.org/"}]}, "attachments.0.url: user names"),
        ({"attachments": [{"filename": "a", "url": "https://example.org/a b"}]}, "attachments.0.url: contains a space"),
        ({"priority": "urgent"}, "priority: give critical, high, normal, low or an integer"),
        ({"priority": 101}, "priority: Input should be less than or equal to 100"),
        ({"priority": -1}, "priority: Input should be greater than or equal to 0"),
        ({"priority": True}, "priority: give critical"),
        ({"priority": 1.5}, "priority: Input should be a valid integer"),
        ({"message_id": "x@example.org"}, "message_id: give the form <unique@domain>"),
        ({"only_to": "eve@example.org"}, ": only_to names none of the recipients: eve@example.org"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(fields: dict[str, Any], says: str) -> None:
    [said] = refused(**fields)
    assert said.startswith(says)


@pytest.mark.parametrize("field", ["to", "subject", "body"])
def test_what_an_email_needs_is_asked_for(field: str) -> None:
    with pytest.raises(PayloadError, match=f"{field}: Field required"):
        send_email.message(**{name: value for name, value in MAIL.items() if name != field})


def test_to_cc_and_bcc_count_together_and_each_recipient_once() -> None:
    people = [f"user{number}@example.org" for number in range(60)]
    send_email.message(**{**MAIL, "to": people, "cc": people})
    others = [f"user{number}@example.com" for number in range(MAX_RECIPIENTS - 59)]
    assert refused(to=people, bcc=others) == [
        ": to, cc and bcc have 101 recipients together; one e-mail may have 100",
    ]


@pytest.mark.parametrize(
    ("given_as", "number"),
    [("critical", 1), ("HIGH", 2), ("normal", 5), ("low", 10), (0, 0), (100, 100), (Priority.LOW, 10)],
)
def test_a_priority_becomes_the_messages_option(given_as: Any, number: int) -> None:
    assert send_email.message(**MAIL, priority=given_as).options == {"priority": number}


def test_without_a_priority_the_actors_holds() -> None:
    assert send_email.message(**MAIL).options == {}


def test_the_schema_names_what_may_be_given() -> None:
    properties = SendEmail.model_json_schema()["properties"]
    assert {"type": "string"} in properties["to"]["anyOf"]
    assert {"enum": ["critical", "high", "normal", "low"]} in properties["priority"]["anyOf"]
    assert "from" in properties


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_gets_a_second_header_past_the_payload(subject: str, name: str, filename: str) -> None:
    attachment = {"filename": filename, "object": "x"}
    try:
        message = send_email.message(to=f"{name} <ada@example.org>", subject=subject, body="", attachments=[attachment])
    except PayloadError:
        return
    for text in (message.kwargs["subject"], *message.kwargs["to"], message.kwargs["attachments"][0]["filename"]):
        assert len(text.splitlines()) <= 1
        assert "\0" not in text
