"""The journal: what its reader finds after the writer's death, at every moment at which that can come."""

from __future__ import annotations

from jobyard.broker.delivery import Completed
from jobyard.broker.journal import Journal, read


def memory(size: int = 4096) -> memoryview:
    return memoryview(bytearray(size))


def test_what_was_completed_is_found_until_it_is_delivered() -> None:
    shared = memory()
    journal = Journal(shared)
    journal.add("a", 1, None)
    journal.add("b", 2, b'{"x":1}')
    assert list(read(shared)) == [Completed("a", 1), Completed("b", 2, b'{"x":1}')]
    journal.turn()
    journal.add("c", 3, None)
    assert {job.job_id for job in read(shared)} == {"a", "b", "c"}
    journal.delivered()
    assert list(read(shared)) == [Completed("c", 3)]


def test_halves_are_used_in_turn_and_never_show_what_was_delivered() -> None:
    shared = memory()
    journal = Journal(shared)
    for number in range(100):
        journal.add(f"job-{number}", number, None)
        journal.turn()
        assert [job.job_id for job in read(shared)] == [f"job-{number}"]
        journal.delivered()
        assert not list(read(shared))


def test_what_does_not_fit_is_left_out_and_the_rest_stays_readable() -> None:
    shared = memory(200)
    journal = Journal(shared)
    for number in range(50):
        journal.add(f"job-{number}", number, None)
    found = [job.job_id for job in read(shared)]
    assert 0 < len(found) < 50
    assert found == [f"job-{number}" for number in range(len(found))]


def test_an_entry_that_was_being_written_is_not_seen() -> None:
    shared = memory()
    journal = Journal(shared)
    journal.add("whole", 1, None)
    torn = bytearray(shared)
    journal.add("torn", 2, None)
    # Death between the entry and its length: the bytes are there, the length is not.
    half = bytes(shared[4:100])
    torn[4:100] = half
    assert [job.job_id for job in read(memoryview(torn))] == ["whole"]


def test_a_fresh_or_damaged_memory_is_no_trouble() -> None:
    assert not list(read(memory()))
    nonsense = memoryview(bytearray(b"\xff" * 64))
    assert not list(read(nonsense))


def test_ids_of_any_letters_come_back_as_they_were() -> None:
    shared = memory()
    Journal(shared).add("größe-日本", 7, None)
    assert list(read(shared)) == [Completed("größe-日本", 7)]
