"""The e-mail itself: whatever text goes in comes out again at a reader, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobyard.jobs.email.address import Address, parse_address
from jobyard.jobs.email.headers import EncodedHeader, address_header, id_header, text_header
from jobyard.jobs.email.message import File, build
from jobyard.jobs.email.payload import SendEmail
from jobyard.jobs.email.text import is_one_line

SENDER = parse_address("Shop <shop@example.org>")
# What the payload lets through: no control characters, no line breaks, no lone surrogates.
one_line = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from(' ",;<>@()\\=?_éß語🗼'),
    max_size=120,
)
body_text = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=300)


def built(files: list[File] | None = None, message_id: str = "<1@example.org>", **fields: Any) -> bytes:
    email = SendEmail(**{"to": "ada@example.org", "subject": "Hello", "body": "Hi", **fields})
    return build(
        email,
        sender=SENDER,
        message_id=message_id,
        date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        files=files or [],
    ).data


def read(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=policy.default)


def raw_header(data: bytes, name: str) -> str:
    """The value of a field, unfolded."""
    head = data.partition(b"\r\n\r\n")[0].decode()
    unfolded = head.replace("\r\n ", " ")
    [value] = [
        line.partition(": ")[2] for line in unfolded.split("\r\n") if line.lower().startswith(name.lower() + ":")
    ]
    return value


@given(one_line)
@example("=?utf-8?q?looks_encoded?=")
@example("a" * 490)
@example("word " * 90)
@example("語" * 160)
@example("é " * 100)
@settings(deadline=None)
def test_any_subject_arrives(subject: str) -> None:
    data = built(subject=subject)
    # White space at the ends of a field can't be told from the field's own.
    assert str(make_header(decode_header(raw_header(data, "Subject")))).strip() == subject.strip()
    assert str(read(data)["Subject"]).strip() == subject.strip()


@given(st.lists(one_line.filter(lambda name: name.strip() == name), min_size=1, max_size=12))
@example(["Lovelace, Ada", "Müller, Jörg", 'The "first"', "back\\slash", "=?utf-8?q?x?=", "Dr. No", "", "名" * 100])
@settings(deadline=None)
def test_any_display_names_arrive_with_their_addresses(names: list[str]) -> None:
    addresses = [Address(name, f"user{number}", "example.org") for number, name in enumerate(names)]
    value = address_header("To", addresses)
    # Not by the newer parser of the standard library, which in some versions keeps the space between encoded words.
    read = getaddresses([value.replace("\r\n ", " ")])
    assert [(str(make_header(decode_header(name))), spec) for name, spec in read] == [
        (address.name, address.spec) for address in addresses
    ]


@given(body_text, body_text)
@example("x" * 2000, "é" * 2000)
@example(".\n.", "From me\n\n\n")
@settings(deadline=None)
def test_any_text_arrives(body: str, html: str) -> None:
    message = read(built(body=body, html=html))
    for part, text in zip(message.iter_parts(), (body, html), strict=True):
        content = part.get_content().replace("\r\n", "\n")
        # A text ends with a line break.
        assert content == (text if text.endswith("\n") else text + "\n")


@given(one_line, one_line, body_text)
@settings(deadline=None)
def test_what_goes_over_the_wire_is_ascii_in_short_lines_that_end_in_cr_lf(subject: str, name: str, body: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    data = built(subject=subject, to=[f'"{quoted}" <ada@example.org>'] * 3, body=body, html=body)
    assert data.isascii()
    assert data.endswith(b"\r\n")
    for line in data.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 998
        assert b"\r" not in line
        assert b"\n" not in line
        assert b"\0" not in line


def test_attachments_arrive_beside_text_and_html() -> None:
    files = [
        File("Jahresbericht – 2026 (endgültig).pdf", "application/pdf", bytes(range(256)) * 10),
        File("note.txt", "text/plain", "Grüße\n".encode("latin-1")),
        File("x" * 250 + ".bin", "application/octet-stream", b""),
    ]
    message = read(built(files=files, html="<p>"))
    assert message.get_content_type() == "multipart/mixed"
    alternative, *attached = message.iter_parts()
    assert alternative.get_content_type() == "multipart/alternative"
    assert [part.get_filename() for part in attached] == [file.filename for file in files]
    assert [part.get_content_type() for part in attached] == [file.content_type for file in files]
    assert [part.get_payload(decode=True) for part in attached] == [file.content for file in files]
    assert all(part.get_content_disposition() == "attachment" for part in attached)


@given(one_line.map(str.strip).filter(lambda name: bool(name) and len(name.encode()) <= 255))
@settings(deadline=None)
def test_any_file_name_arrives(name: str) -> None:
    message = read(built(files=[File(name, "application/pdf", b"x")]))
    [attached] = message.iter_attachments()
    assert attached.get_filename() == name


def test_a_long_message_id_is_not_broken() -> None:
    message_id = f"<{'x' * 150}@{'y' * 60}.example>"
    assert f"Message-ID: {message_id}\r\n".encode() in built(message_id=message_id)


def test_the_date_has_a_time_zone() -> None:
    assert b"Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n" in built()


def test_a_hundred_recipients_are_one_to_a_line() -> None:
    people = [f"Jörg Müller {number} <user{number}@example.org>" for number in range(100)]
    data = built(to=people)
    assert [address.display_name for address in read(data)["To"].addresses] == [
        person.partition(" <")[0] for person in people
    ]
    assert max(len(line) for line in data.splitlines()) < 100


@pytest.mark.parametrize("evil", ["a\r\nBcc: eve@example.org", "a\nb", "a\rb", "a\0b", "a\u2028b"])
def test_headers_refuse_line_breaks_even_if_the_payload_let_them_through(evil: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        text_header("Subject", evil)
    with pytest.raises(ValueError, match="control characters"):
        id_header("Message-ID", evil)
    with pytest.raises(ValueError, match="control characters"):
        address_header("To", [Address(evil, "ada", "example.org")])
    with pytest.raises(ValueError, match="control characters"):
        address_header("To", [Address("", evil, "example.org")])


@pytest.mark.parametrize("value", ["a\r\nBcc: x", "a\n b", "a\r b", "a\r\n", "a\r\n\r\n b"])
def test_a_header_value_that_would_end_early_cannot_be_made(value: str) -> None:
    with pytest.raises(ValueError, match="end too early"):
        EncodedHeader(value)


@given(st.text(max_size=20))
def test_one_line_is_what_python_takes_for_one_line(text: str) -> None:
    if is_one_line(text):
        assert len(f"x{text}x".splitlines()) == 1
