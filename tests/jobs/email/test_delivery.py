"""`send_email` against a real SMTP server: what arrives, and what the server's replies lead to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import MIMEPart
from typing import TYPE_CHECKING, Any

import pytest
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker

import jobyard
from jobyard.jobs.email import MailConfigError, MailDeferredError, MailRefusedError, MailServerError, send_email
from jobyard.jobs.email.job import RETRY

if TYPE_CHECKING:
    from tests.jobs.email.conftest import InJob, Server, StartServer

MAIL: dict[str, Any] = {"to": "ada@example.org", "subject": "Hello", "body": "Good morning!"}
THREE: dict[str, Any] = {**MAIL, "to": ["a@example.org", "b@example.org"], "cc": "c@example.org"}


def text_of(part: MIMEPart) -> str:
    """The text, its line ends as Python has them. Over the wire they are CR LF."""
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


def test_an_email_arrives_as_it_was_written(server: Server) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    result = send_email(
        to=["Ada Lovelace <ada@example.org>", "bob@example.org"],
        subject="Hello",
        body="Good morning!\n",
        cc="carol@example.org",
        reply_to="office@example.org",
    )

    [mail] = server.received
    assert mail.sender == "shop@example.org"
    assert mail.recipients == ["ada@example.org", "bob@example.org", "carol@example.org"]
    message = mail.message
    assert message["Subject"] == "Hello"
    assert message["From"] == "Shop <shop@example.org>"
    assert message["To"] == "Ada Lovelace <ada@example.org>, bob@example.org"
    assert message["Cc"] == "carol@example.org"
    assert message["Reply-To"] == "office@example.org"
    assert before <= message["Date"].datetime <= datetime.now(UTC)
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "text/plain"
    assert text_of(message) == "Good morning!\n"
    assert result == {
        "message_id": message["Message-ID"],
        "accepted": mail.recipients,
        "refused": {},
        "deferred": {},
        "follow_up": None,
    }


def test_everything_outside_ascii_arrives(server: Server) -> None:
    send_email(
        to="Zoë Ångström-Müller <zoe@bücher.example>",
        subject="Grüße aus Tōkyō 🗼 – " + "äöü " * 40 + "end",
        body="Schöne Grüße\n" + "ß" * 500 + "\n",
        html="<p>Schöne Grüße ✓</p>",
        from_='"Bücher & Töne, GmbH" <info@example.org>',
    )

    [mail] = server.received
    assert mail.content.isascii()
    assert mail.recipients == ["zoe@xn--bcher-kva.example"]
    assert "SMTPUTF8" not in mail.options
    message = mail.message
    assert message["Subject"] == "Grüße aus Tōkyō 🗼 – " + "äöü " * 40 + "end"
    assert message["To"].addresses[0].display_name == "Zoë Ångström-Müller"
    assert message["From"].addresses[0].display_name == "Bücher & Töne, GmbH"
    text, html = message.iter_parts()
    assert message.get_content_type() == "multipart/alternative"
    assert text_of(text) == "Schöne Grüße\n" + "ß" * 500 + "\n"
    assert html.get_content_type() == "text/html"
    assert text_of(html) == "<p>Schöne Grüße ✓</p>\n"


def test_lines_that_begin_with_a_dot_arrive(server: Server) -> None:
    send_email(**{**MAIL, "body": ".\n..\n.hidden\nend\n"})
    assert text_of(server.received[0].message) == ".\n..\n.hidden\nend\n"


def test_bcc_recipients_get_it_and_nobody_sees_them(server: Server, in_job: InJob) -> None:
    with in_job("job-1"):  # A random Message-ID may have "bcc" in it.
        send_email(**MAIL, bcc=["eve@example.org", "Mallory <mallory@example.org>"])

    [mail] = server.received
    assert mail.recipients == ["ada@example.org", "eve@example.org", "mallory@example.org"]
    assert b"eve" not in mail.content.lower()
    assert b"mallory" not in mail.content.lower()
    assert b"bcc" not in mail.content.lower()


def test_who_is_named_twice_gets_it_once(server: Server) -> None:
    send_email(**{**MAIL, "to": ["ada@example.org", "Ada <ada@EXAMPLE.org>"]}, cc="ada@example.org")
    assert server.received[0].recipients == ["ada@example.org"]


def test_the_message_id_comes_from_the_job_and_is_the_same_at_each_attempt(server: Server, in_job: InJob) -> None:
    for attempt in (1, 2):
        with in_job("6f1c2a34-0000-4000-8000-000000000001", attempt=attempt):
            send_email(**MAIL)
    with in_job("6f1c2a34-0000-4000-8000-000000000002"):
        send_email(**MAIL)

    first, second, other = (mail.message["Message-ID"] for mail in server.received)
    assert first == second == "<6f1c2a34-0000-4000-8000-000000000001.jobyard@example.org>"
    assert other != first


def test_a_job_id_of_any_form_makes_a_message_id(server: Server, in_job: InJob) -> None:
    for job_id in ("nightly: <é>\r\nBcc: eve@example.org", "nightly: <e>", "x" * 5000):
        with in_job(job_id):
            send_email(**MAIL)
    ids = [mail.message["Message-ID"] for mail in server.received]
    assert len(set(ids)) == 3
    for message_id in ids:
        assert message_id.startswith("<")
        assert message_id.endswith(".jobyard@example.org>")
        assert len(message_id) < 100
    assert all(mail.recipients == ["ada@example.org"] for mail in server.received)


def test_called_without_a_job_each_email_has_its_own_message_id(server: Server) -> None:
    assert send_email(**MAIL)["message_id"] != send_email(**MAIL)["message_id"]


def test_a_sender_in_the_payload_goes_before_the_settings(server: Server) -> None:
    send_email(**MAIL, from_="Ada <ada@example.com>")
    assert server.received[0].sender == "ada@example.com"
    assert server.received[0].message["From"] == "Ada <ada@example.com>"


def test_without_any_sender_the_job_is_buried_and_says_what_to_set(start_server: StartServer) -> None:
    start_server(settings={"FROM_ADDRESS": ""})
    with pytest.raises(MailConfigError, match="JOBYARD_SMTP_FROM_ADDRESS"):
        send_email(**MAIL)


def test_without_a_server_the_job_is_buried_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBYARD_SMTP_HOST", raising=False)
    monkeypatch.setenv("JOBYARD_SMTP_FROM_ADDRESS", "shop@example.org")
    with pytest.raises(MailConfigError, match="JOBYARD_SMTP_HOST") as error:
        send_email(**MAIL)
    assert isinstance(error.value, jobyard.PermanentError)


def test_the_seed_case_is_three_attempts_after_2_and_4_seconds() -> None:
    assert send_email.options["retry"] is RETRY
    assert [RETRY.wait(attempt) for attempt in (1, 2, 3)] == [2.0, 4.0, None]
    assert send_email.queue_name == "emails"


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_4xx_reply_is_retried_and_the_next_attempt_succeeds(server: Server, command: str) -> None:
    server.answer(command, "451 4.3.0 Try again later", times=1)

    with pytest.raises(MailDeferredError, match=r"ada@example\.org: 451 4\.3\.0 Try again later") as error:
        send_email(**MAIL)
    assert not isinstance(error.value, jobyard.PermanentError)

    send_email(**MAIL)
    assert len(server.received) == 1
    assert server.connections == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_5xx_reply_buries_the_job_and_the_connection_serves_the_next(server: Server, command: str) -> None:
    server.answer(command, "550 5.7.1 Not welcome", times=1)

    with pytest.raises(MailRefusedError, match=r"ada@example\.org: 550 5\.7\.1 Not welcome") as error:
        send_email(**MAIL)
    assert isinstance(error.value, jobyard.PermanentError)

    send_email(**MAIL)
    assert server.connections == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_hangs_up_is_tried_again_by_the_job(server: Server, command: str) -> None:
    server.drop(command, times=1)
    with pytest.raises(MailServerError, match=r"mail server 127\.0\.0\.1:\d+"):
        send_email(**MAIL)
    send_email(**MAIL)
    assert len(server.received) == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_421_is_retried_on_a_new_connection(server: Server, command: str) -> None:
    server.answer(command, "421 4.3.2 Shutting down", times=1)
    with pytest.raises(MailServerError, match=r"421 4\.3\.2 Shutting down"):
        send_email(**MAIL)
    send_email(**MAIL)
    assert len(server.received) == 1
    assert server.connections == 2


def test_a_server_that_does_not_answer_in_time_is_tried_again_by_the_job(start_server: StartServer) -> None:
    server = start_server(settings={"TIMEOUT": "0.2"})
    server.answer("MAIL", "250 OK", delay=3, times=1)
    with pytest.raises(MailServerError, match="timed out"):
        send_email(**MAIL)


def test_a_server_that_is_not_there_is_tried_again_by_the_job(server: Server) -> None:
    server.smtp.stop()
    with pytest.raises(MailServerError, match="refused"):
        send_email(**MAIL)


def test_an_answer_that_is_not_smtp_is_tried_again_by_the_job(server: Server) -> None:
    server.answer("MAIL", "HTTP/1.1 400 Bad Request", times=1)
    with pytest.raises(MailServerError):
        send_email(**MAIL)


def test_a_reply_is_shown_as_one_line(server: Server) -> None:
    server.answer("MAIL", "550-5.7.1 Not\x1b[31m\r\n550 welcome" + "!" * 1000)
    with pytest.raises(MailRefusedError) as error:
        send_email(**MAIL)
    assert "550 5.7.1 Not [31m welcome!!!" in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600


def test_refused_recipients_are_reported_and_the_others_get_it(server: Server) -> None:
    server.answer("RCPT", "550 5.1.1 No such user", address="b@example.org")
    result = send_email(**THREE)
    assert result["accepted"] == ["a@example.org", "c@example.org"]
    assert result["refused"] == {"b@example.org": "550 5.1.1 No such user"}
    assert server.received[0].recipients == ["a@example.org", "c@example.org"]


def test_nobody_accepted_and_somebody_put_off_is_retried_for_all(server: Server) -> None:
    server.answer("RCPT", "550 5.1.1 No such user", address="a@example.org")
    server.answer("RCPT", "451 4.7.1 Greylisted", times=2)
    with pytest.raises(MailDeferredError, match=r"b@example\.org: 451.*a@example\.org: 550"):
        send_email(**THREE)
    result = send_email(**THREE)
    assert result["accepted"] == ["b@example.org", "c@example.org"]
    assert list(result["refused"]) == ["a@example.org"]


def test_a_long_list_of_refused_recipients_is_cut(server: Server) -> None:
    server.answer("RCPT", "550 5.1.1 No such user")
    with pytest.raises(MailRefusedError, match="and 35 more"):
        send_email(**{**MAIL, "to": [f"user{number}@example.org" for number in range(40)]})


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> StubBroker:
    """Dramatiq's broker in memory, in place of the one on Redis."""
    broker = StubBroker()
    broker.declare_queue("emails")
    monkeypatch.setattr(send_email, "broker", broker)
    return broker


def enqueued(broker: StubBroker) -> list[Message[Any]]:
    queue = broker.queues["emails.DQ"]
    return [Message.decode(queue.get_nowait()) for _ in range(queue.qsize())]


def test_recipients_who_were_put_off_get_a_job_of_their_own(server: Server, broker: StubBroker, in_job: InJob) -> None:
    server.answer("RCPT", "451 4.7.1 Greylisted", address="b@example.org", times=1)
    server.answer("RCPT", "550 5.1.1 No such user", address="c@example.org")
    with in_job("job-1"):
        result = send_email(**THREE, priority="high")
    [message] = enqueued(broker)

    assert result["accepted"] == ["a@example.org"]
    assert result["deferred"] == {"b@example.org": "451 4.7.1 Greylisted"}
    assert result["follow_up"] == message.message_id
    assert message.options["eta"] - message.message_timestamp == pytest.approx(2000, abs=500)
    assert message.kwargs["priority"] == 2

    with in_job(message.message_id):
        followed = send_email(**message.kwargs)
    assert followed["accepted"] == ["b@example.org"]
    assert followed["message_id"] == result["message_id"]
    first, second = server.received
    assert first.recipients == ["a@example.org"]
    assert second.recipients == ["b@example.org"]
    for header in ("Message-ID", "To", "Cc", "Subject", "From"):
        assert second.message[header] == first.message[header]


def test_a_job_that_runs_again_after_a_crash_names_the_same_follow_up(
    server: Server, broker: StubBroker, in_job: InJob
) -> None:
    server.answer("RCPT", "451 4.7.1 Greylisted", address="b@example.org")
    for _ in range(2):
        with in_job("job-1"):
            send_email(**THREE)
    first, second = enqueued(broker)
    assert first.message_id == second.message_id

    # A follow-up that is partly put off again has a follow-up of its own.
    server.answer("RCPT", "451 4.7.1 Greylisted", address="c@example.org")
    with in_job(first.message_id):
        send_email(**THREE)
    [third] = enqueued(broker)
    assert third.message_id != first.message_id


def test_a_follow_up_that_cannot_be_enqueued_fails_the_job_rather_than_lose_somebody(
    server: Server, broker: StubBroker, in_job: InJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(broker, "enqueue", unreachable)
    server.answer("RCPT", "451 4.7.1 Greylisted", address="b@example.org")
    with in_job("job-1"), pytest.raises(ConnectionError):
        send_email(**THREE)


def test_called_without_a_job_those_who_were_put_off_are_reported(server: Server, broker: StubBroker) -> None:
    server.answer("RCPT", "451 4.7.1 Greylisted", address="b@example.org")
    result = send_email(**THREE)
    assert result["deferred"] == {"b@example.org": "451 4.7.1 Greylisted"}
    assert result["follow_up"] is None
    assert "emails.DQ" not in broker.queues or enqueued(broker) == []


@pytest.mark.parametrize("reply", ["452 4.5.3 Too many recipients", "552 5.5.3 Too many recipients"])
def test_a_server_that_takes_few_recipients_at_once_gets_the_rest_in_another_transaction(
    server: Server, reply: str
) -> None:
    people = [f"user{number}@example.org" for number in range(5)]
    # Two at a time: three are put off in the first transaction, one in the second.
    for person, times in zip(people, (0, 0, 1, 1, 2), strict=True):
        server.answer("RCPT", reply, address=person, times=times)
    result = send_email(**{**MAIL, "to": people})

    assert result["accepted"] == people
    assert result["deferred"] == {}
    assert [mail.recipients for mail in server.received] == [people[:2], people[2:4], people[4:]]
    assert len({mail.message["Message-ID"] for mail in server.received}) == 1
    assert server.connections == 1


def test_a_lost_connection_between_two_transactions_sends_nobody_a_second_copy(
    server: Server, broker: StubBroker, in_job: InJob
) -> None:
    server.answer("RCPT", "452 4.5.3 Too many recipients", address="b@example.org", times=1)
    server.answer("RCPT", "421 4.3.2 Shutting down", address="b@example.org")
    with in_job("job-1"):
        result = send_email(**THREE)
    assert result["accepted"] == ["a@example.org", "c@example.org"]
    assert list(result["deferred"]) == ["b@example.org"]
    assert [message.kwargs["only_to"] for message in enqueued(broker)] == [["b@example.org"]]


def test_an_address_outside_ascii_goes_to_a_server_with_smtputf8(server: Server) -> None:
    send_email(**{**MAIL, "to": "Jörg <jörg@bücher.example>"}, bcc="ada@example.org")
    [mail] = server.received
    assert mail.recipients == ["jörg@xn--bcher-kva.example", "ada@example.org"]
    assert "SMTPUTF8" in mail.options
    assert "To: =?utf-8?b?SsO2cmc=?= <jörg@xn--bcher-kva.example>\r\n".encode() in mail.content


def test_an_address_outside_ascii_buries_the_job_where_the_server_lacks_smtputf8(start_server: StartServer) -> None:
    server = start_server(enable_SMTPUTF8=False)
    with pytest.raises(MailRefusedError, match="SMTPUTF8"):
        send_email(**MAIL, bcc="jörg@example.org")
    assert server.received == []
    send_email(**MAIL)
    assert len(server.received) == 1


def test_an_email_that_the_server_finds_too_large_is_buried_before_it_is_sent(start_server: StartServer) -> None:
    server = start_server(data_size_limit=2000)
    with pytest.raises(MailRefusedError, match="552"):
        send_email(**{**MAIL, "body": "x" * 3000})
    assert "RCPT ada@example.org" not in server.commands
