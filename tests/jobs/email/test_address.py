"""Which addresses are accepted, and what becomes of them."""

from __future__ import annotations

import pytest

from jobyard.jobs.email.address import Address, AddressError, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.org", Address("", "ada", "example.org")),
        (" ada@example.org ", Address("", "ada", "example.org")),
        ("Ada@EXAMPLE.Org", Address("", "Ada", "example.org")),
        ("Ada <ada@example.org>", Address("Ada", "ada", "example.org")),
        ("<ada@example.org>", Address("", "ada", "example.org")),
        ("Ada Lovelace<ada@example.org>", Address("Ada Lovelace", "ada", "example.org")),
        ('"Lovelace, Ada" <ada@example.org>', Address("Lovelace, Ada", "ada", "example.org")),
        (r'"Ada \"the first\" \\ L." <ada@example.org>', Address('Ada "the first" \\ L.', "ada", "example.org")),
        ("ada@example.org <ada@example.org>", Address("ada@example.org", "ada", "example.org")),
        ("Zoë <zoe@bücher.example>", Address("Zoë", "zoe", "xn--bcher-kva.example")),
        ("zoe@xn--bcher-kva.example", Address("", "zoe", "xn--bcher-kva.example")),
        ("jörg@example.org", Address("", "jörg", "example.org")),
        ("用户@例子.公司", Address("", "用户", "xn--fsqu00a.xn--55qx5d")),
        ("a.b+tag!#$%&'*/=?^_`{|}~-@example.org", Address("", "a.b+tag!#$%&'*/=?^_`{|}~-", "example.org")),
        ("root@localhost", Address("", "root", "localhost")),
    ],
)
def test_addresses_as_people_write_them(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no '@'"),
        ("ada", "no '@'"),
        ("Ada <ada>", "no '@'"),
        ("@example.org", "nothing before the '@'"),
        ("ada@", "no domain"),
        ("a@b@example.org", "before the '@'"),
        ("a da@example.org", "before the '@'"),
        ("a\u00a0da@example.org", "before the '@'"),
        ("a\u200bda@example.org", "before the '@'"),
        ("ada.@example.org", "before the '@'"),
        (".ada@example.org", "before the '@'"),
        ("a..da@example.org", "before the '@'"),
        ("a(comment)@example.org", "before the '@'"),
        ('"a b"@example.org', "quoted names"),
        ("x" * 65 + "@example.org", "longer than 64"),
        ("ü" * 33 + "@example.org", "longer than 64"),
        ("x" * 60 + "@" + ".".join(["y" * 60] * 4) + ".example", "longer than 25"),
        ("ada@example..org", "can't exist"),
        ("ada@example.org.", "can't exist"),
        ("ada@-example.org", "can't exist"),
        ("ada@exam_ple.org", "can't exist"),
        ("ada@exam ple.org", "can't exist"),
        ("ada@℀.org", "can't exist"),
        ("ada@" + "x" * 64 + ".org", "can't exist"),
        ("ada@127.0.0.1", "IP addresses"),
        ("ada@[127.0.0.1]", "IP addresses"),
        ("ada@straße.example", r"xn--… form"),
        ("ada@ex\u200dample.org", r"xn--… form"),
        ("a@example.org, b@example.org", "list"),
        ("a@example.org; b@example.org", "list"),
        ("a@example.org, Bob <b@example.org>", "list"),
        ("<a@example.org> <b@example.org>", "list"),
        ('Ada "the first" <ada@example.org>', "quotes"),
        ('"Ada "the first"" <ada@example.org>', "quotes"),
        ('"Ada\\" <ada@example.org>', "quotes"),
        ("ada@example.org>", "without a '<'"),
        ("x" * 201 + " <ada@example.org>", "longer than 200"),
        ("Ada\r\nBcc: eve@example.org <ada@example.org>", "control"),
        ("ada@example.org\n", "control"),
        ("ada\0@example.org", "control"),
        ("Ada\u2028 <ada@example.org>", "control"),
        ("Ada\x85 <ada@example.org>", "control"),
    ],
)
def test_what_is_no_address_is_refused_and_the_reason_said(text: str, says: str) -> None:
    with pytest.raises(AddressError, match=says):
        parse_address(text)


def test_only_a_local_part_outside_ascii_needs_smtputf8() -> None:
    assert parse_address("jörg@example.org").needs_utf8
    assert not parse_address("Jörg <joerg@bücher.example>").needs_utf8
