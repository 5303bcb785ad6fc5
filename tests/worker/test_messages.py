"""What supervisor and child say to each other, and the memory that they share."""

from __future__ import annotations

import os

import pytest

from jobyard.broker.journal import Journal
from jobyard.worker.marks import marks, size
from jobyard.worker.memory import SharedMemory, create
from jobyard.worker.messages import (
    LONGEST,
    CompletedJob,
    Drain,
    Ended,
    Inbox,
    Ready,
    Revoke,
    frame,
    read_command,
    read_notice,
)


def test_messages_arrive_however_the_socket_cuts_them() -> None:
    sent = [Ready(["mail", "größe"]), Ended(), Ready([])]
    data = b"".join(frame(one) for one in sent)
    for step in (1, 3, 7, len(data)):
        inbox = Inbox()
        bodies = [body for at in range(0, len(data), step) for body in inbox.feed(data[at : at + step])]
        assert [read_notice(body) for body in bodies] == sent


def test_results_pass_as_they_are() -> None:
    sent = Revoke("token", b"{}", ["job-1"], [CompletedJob("job-2", 7, bytes(range(256)))])
    (body,) = Inbox().feed(frame(sent))
    assert read_command(body) == sent
    (body,) = Inbox().feed(frame(Drain(None)))
    assert read_command(body) == Drain(None)


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes between supervisor and child"):
        Inbox().feed((LONGEST + 1).to_bytes(4, "little"))
    for body in (b"", b"nonsense", b"\x80", frame(Ended())[4:]):
        with pytest.raises(ValueError):
            read_command(body)


def test_what_a_process_has_noted_is_there_after_its_death() -> None:
    file = create(3)
    try:
        child = os.fork()
        if child == 0:
            memory = SharedMemory(file, 3)
            memory.marks[0].set("first")
            memory.marks[0].clear()
            memory.marks[1].set("größe")
            memory.marks[2].set("x" * 256)
            Journal(memory.journal).add("done", 5, b"result")
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
        memory = SharedMemory(file, 3)
        assert memory.running() == ["größe", "x" * 256]
        assert [(one.job_id, one.call, one.result) for one in memory.completed()] == [("done", 5, b"result")]
    finally:
        os.close(file)


def test_the_longest_id_fits_and_doesnt_touch_its_neighbour() -> None:
    first, second = marks(memoryview(bytearray(size(2))), 2)
    second.set("neighbour")
    first.set("\U0001f680" * 256)
    assert (first.get(), second.get()) == ("\U0001f680" * 256, "neighbour")
    first.set("short")
    assert (first.get(), second.get()) == ("short", "neighbour")
