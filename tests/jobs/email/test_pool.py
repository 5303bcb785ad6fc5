"""Connections are kept between jobs, replaced when dead, closed when idle, and never shared by two processes."""

from __future__ import annotations

import smtplib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from jobyard.jobs.email import MailServerError, send_email
from jobyard.jobs.email.pool import ConnectionPool

if TYPE_CHECKING:
    from tests.jobs.email.conftest import Server, StartServer

MAIL: dict[str, Any] = {"to": "ada@example.org", "subject": "Hello", "body": "Good morning!"}
WaitUntil = Callable[[Callable[[], bool]], None]


def test_one_connection_serves_many_jobs(server: Server) -> None:
    for _ in range(20):
        send_email(**MAIL)
    assert len(server.received) == 20
    assert server.connections == 1


def test_many_threads_use_at_most_as_many_connections_as_the_pool_has(start_server: StartServer) -> None:
    server = start_server(settings={"POOL_SIZE": "3"})
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                send_email(**MAIL)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(server.received) == 80
    assert server.connections <= 3
    # No two e-mails were mixed into one dialogue.
    assert all(mail.recipients == ["ada@example.org"] for mail in server.received)


def test_who_gets_no_connection_in_time_is_told_which_setting_to_raise(server: Server) -> None:
    with (
        smtp_pool(server, size=1, wait=0.1) as pool,
        pool.connection(),
        pytest.raises(MailServerError, match="JOBYARD_SMTP_POOL_SIZE"),
        pool.connection(),
    ):
        pass


def test_a_connection_that_the_server_has_closed_is_replaced_unnoticed(server: Server) -> None:
    send_email(**MAIL)
    server.smtp.hang_up()
    send_email(**MAIL)
    assert len(server.received) == 2
    assert server.connections == 2


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
@pytest.mark.parametrize("way", ["without a word", "with 421"])
def test_a_server_that_hangs_up_on_a_kept_connection_before_the_text_is_out_is_asked_again_at_once(
    server: Server, command: str, way: str
) -> None:
    send_email(**MAIL)
    if way == "with 421":
        server.answer(command, "421 4.4.2 Too many messages on this connection", times=1)
    else:
        server.drop(command, times=1)
    send_email(**MAIL)
    assert len(server.received) == 2
    assert server.connections == 2


def test_a_connection_that_is_lost_with_the_text_out_is_left_to_the_retry(server: Server) -> None:
    """The server may have taken it, so what happens next is the retry policy's to say."""
    send_email(**MAIL)
    server.drop("DATA", times=1)
    with pytest.raises(MailServerError):
        send_email(**MAIL)
    assert server.connections == 1


def test_a_fresh_connection_that_fails_too_is_left_to_the_retry(server: Server) -> None:
    send_email(**MAIL)
    server.drop("MAIL")
    with pytest.raises(MailServerError):
        send_email(**MAIL)
    assert server.connections == 2


@contextmanager
def smtp_pool(server: Server, *, size: int = 2, idle: float = 60, wait: float = 5) -> Iterator[ConnectionPool]:
    def connect() -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", server.port, "client.example.org", timeout=5)

    pool = ConnectionPool(connect, size=size, idle=idle, wait=wait)
    try:
        yield pool
    finally:
        pool.close()


def test_a_connection_that_was_idle_for_a_while_is_checked_before_it_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.jobs.email.pool._CHECK_AFTER", 0.0)
    with smtp_pool(server) as pool:
        with pool.connection() as first:
            first.smtp.ehlo()
        with pool.connection() as again:
            assert again is first
        assert server.commands == ["RSET"]

        server.answer("RSET", "421 4.4.2 Idle for too long", times=1)
        with pool.connection() as other:
            assert other is not first
            assert other.smtp.noop()[0] == 250
    assert server.connections == 2


def test_a_connection_that_does_not_answer_the_check_is_replaced(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.jobs.email.pool._CHECK_AFTER", 0.0)
    monkeypatch.setattr("jobyard.jobs.email.pool._CHECK_PATIENCE", 0.1)
    server.answer("RSET", "250 OK", delay=3)
    with smtp_pool(server) as pool:
        with pool.connection() as first:
            first.smtp.ehlo()
        with pool.connection() as other:
            assert other is not first


def test_a_connection_that_nobody_needs_is_closed_with_a_goodbye(server: Server, wait_until: WaitUntil) -> None:
    with smtp_pool(server, idle=0.1) as pool:
        with pool.connection() as first, pool.connection():
            assert server.connections == 2
        wait_until(lambda: server.commands == ["QUIT", "QUIT"])
        wait_until(lambda: not any(thread.name == "jobyard-smtp-reaper" for thread in threading.enumerate()))
        # It goes on after that.
        with pool.connection() as other:
            assert other is not first
            assert other.smtp.noop()[0] == 250


def test_a_connection_in_use_is_not_closed_for_being_old(server: Server, wait_until: WaitUntil) -> None:
    with smtp_pool(server, idle=0.05) as pool, pool.connection() as kept:
        with pool.connection():
            pass
        wait_until(lambda: server.commands == ["QUIT"])
        assert kept.smtp.noop()[0] == 250


def test_a_block_that_raises_costs_the_connection_and_frees_its_place(server: Server) -> None:
    with smtp_pool(server, size=1, wait=0.1) as pool:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt), pool.connection():
                raise KeyboardInterrupt
        with pool.connection() as connection:
            assert not connection.reused
    assert server.connections == 4


def test_a_fresh_connection_takes_the_place_of_an_idle_one(server: Server) -> None:
    with smtp_pool(server, size=1, wait=0.1) as pool:
        with pool.connection() as first:
            pass
        with pool.connection(fresh=True) as other:
            assert other is not first
    assert server.connections == 2


def test_who_waits_gets_the_connection_that_is_given_back(server: Server) -> None:
    with smtp_pool(server, size=1) as pool:
        got: list[object] = []

        def wait() -> None:
            with pool.connection() as connection:
                got.append(connection)

        with pool.connection() as first:
            waiting = threading.Thread(target=wait)
            waiting.start()
        waiting.join()
        assert got == [first]


def test_a_closed_pool_closes_what_is_given_back(server: Server) -> None:
    with smtp_pool(server) as pool:
        with pool.connection():
            pool.close()
            assert server.commands == []
        assert server.commands == ["QUIT"]


FORKING = """
import os, sys
from jobyard.jobs.email import close_connections, send_email

def send(who):
    send_email(to=f"{who}@example.org", subject="Hello", body="Good morning!")

send("parent")
child = os.fork()
if child == 0:
    send("child")
    send("child")
    close_connections()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
send("parent")
close_connections()
"""


def test_after_a_fork_the_child_opens_its_own_connection_and_the_parents_goes_on(server: Server) -> None:
    # In a process of its own: this one has threads, with which forking is deprecated.
    subprocess.run([sys.executable, "-W", "error", "-c", FORKING], check=True, timeout=30)
    ports: dict[str, set[int]] = {}
    for mail in server.received:
        ports.setdefault(mail.recipients[0], set()).add(mail.client_port)
    assert server.connections == 2
    assert len(ports["parent@example.org"]) == 1
    assert len(ports["child@example.org"]) == 1
    assert ports["parent@example.org"] != ports["child@example.org"]
    assert server.commands.count("QUIT") == 2
