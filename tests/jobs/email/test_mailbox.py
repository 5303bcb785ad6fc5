"""The mailbox for development: every e-mail becomes a file, and nobody gets it."""

from __future__ import annotations

import smtplib
import socket
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from jobyard.errors import JobyardError
from jobyard.jobs.email import close_connections, send_email
from jobyard.jobs.email.mailbox import CaughtMail, Mailbox, MailboxCounts

MAIL: dict[str, Any] = {"to": "ada@example.org", "subject": "Grüße", "body": "Good morning!"}


def use(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HOST": "127.0.0.1",
        "PORT": str(mailbox.port),
        "SECURITY": "none",
        "FROM_ADDRESS": "shop@example.org",
        "HELO_NAME": "client.example.org",
    }.items():
        monkeypatch.setenv(f"JOBYARD_SMTP_{name}", value)
    close_connections()


@pytest.fixture
def caught() -> list[CaughtMail]:
    return []


@pytest.fixture
def mailbox(tmp_path: Path, caught: list[CaughtMail], monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    mailbox = Mailbox(tmp_path / "mail", on_message=caught.append).start()
    use(mailbox, monkeypatch)
    yield mailbox
    close_connections()
    mailbox.stop()


def test_an_email_becomes_a_file_that_any_mail_program_opens(mailbox: Mailbox, caught: list[CaughtMail]) -> None:
    send_email(**MAIL, bcc="eve@example.org")

    [path] = mailbox.messages()
    assert path.suffix == ".eml"
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message["Subject"] == "Grüße"
    assert message.get_content().strip() == "Good morning!"
    assert message["Return-Path"] == "<shop@example.org>"
    assert message["X-Envelope-To"] == "ada@example.org, eve@example.org"
    [mail] = caught
    assert (mail.path, mail.sender, mail.recipients, mail.subject) == (
        path,
        "shop@example.org",
        ("ada@example.org", "eve@example.org"),
        "Grüße",
    )


def test_it_counts_what_it_catches(mailbox: Mailbox, caught: list[CaughtMail]) -> None:
    assert mailbox.counts == MailboxCounts()
    send_email(**MAIL)
    send_email(**MAIL, cc="bob@example.org")
    assert mailbox.counts == MailboxCounts(messages=2, recipients=3, bytes=sum(mail.size for mail in caught))


def test_many_senders_at_once_lose_nothing(mailbox: Mailbox) -> None:
    def work(worker: int) -> None:
        for number in range(20):
            send_email(**{**MAIL, "subject": f"{worker}-{number}"})

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subjects = {message_from_bytes(path.read_bytes())["Subject"] for path in mailbox.messages()}
    assert subjects == {f"{worker}-{number}" for worker in range(5) for number in range(20)}
    assert mailbox.counts.messages == 100


def test_a_restarted_mailbox_keeps_what_was_there_and_counts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for expected in (1, 2):
        mailbox = Mailbox(tmp_path / "mail").start()
        use(mailbox, monkeypatch)
        send_email(**MAIL)
        close_connections()
        mailbox.stop()
        assert len(mailbox.messages()) == expected
        assert mailbox.counts.messages == 1
    paths = mailbox.messages()
    assert [path.stat().st_mtime_ns for path in paths] == sorted(path.stat().st_mtime_ns for path in paths)


def test_what_goes_wrong_in_on_message_costs_no_email(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: CaughtMail) -> None:
        raise RuntimeError("no terminal")

    mailbox = Mailbox(tmp_path / "mail", on_message=fail).start()
    use(mailbox, monkeypatch)
    try:
        send_email(**MAIL)
    finally:
        close_connections()
        mailbox.stop()
    assert len(mailbox.messages()) == 1
    assert "no terminal" in caplog.text


def test_a_disk_that_takes_nothing_puts_the_email_off(
    mailbox: Mailbox, caught: list[CaughtMail], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with smtplib.SMTP("127.0.0.1", mailbox.port, "client.example.org") as client:
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.sendmail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\nx")
        assert error.value.smtp_code == 452
    assert list(mailbox.directory.iterdir()) == []
    assert mailbox.counts.messages == 0
    assert caught == []


@pytest.mark.parametrize("content", [b"", b"no header at all", b"\xff\xfe: \x00\r\n\r\n", b"Subject: =?x?q?\xff?=\r\n"])
def test_whatever_is_sent_is_kept(mailbox: Mailbox, caught: list[CaughtMail], content: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.port, "client.example.org") as client:
        client.sendmail("", ["b@example.org"], content)
    assert len(mailbox.messages()) == len(caught) == 1


def test_a_port_that_is_taken_is_reported_by_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        mailbox = Mailbox(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"):
            mailbox.start()
        mailbox.stop()


def test_a_stopped_mailbox_can_be_started_again_and_frees_its_port(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    with pytest.raises(RuntimeError, match="not been started"):
        print(mailbox.port)
    first = mailbox.start().port
    with pytest.raises(RuntimeError, match="runs already"):
        mailbox.start()
    mailbox.stop()
    mailbox.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first))
    mailbox.start()
    socket.create_connection(("127.0.0.1", mailbox.port)).close()
    mailbox.stop()


def test_without_aiosmtpd_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    with pytest.raises(JobyardError, match=r"pip install 'jobyard\[local\]'"):
        Mailbox(tmp_path).start()
