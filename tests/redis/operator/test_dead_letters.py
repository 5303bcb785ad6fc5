"""Commands on dead letters: each letter is moved once, whatever becomes of the operator that does it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.link import Link
from jobyard.broker.scripts import Argument, Script
from jobyard_operator.core.commands import DeadCommand
from jobyard_operator.redis import dead_letters
from jobyard_operator.redis.dead_letters import move_letter, newest, run_command
from jobyard_operator.redis.epoch import Superseded
from jobyard_operator.redis.pods import Cause, fence_pod
from support.hand import Hand, look_up, message, next_millisecond
from support.snapshot import snapshot

Bury = Callable[..., list[str]]
RETRY = DeadCommand(action="retry")
DISCARD = DeadCommand(action="discard")


@pytest.fixture
def bury(broker: JobyardBroker, hand: Callable[..., Hand]) -> Bury:
    """Makes dead letters: `bury(3, actor="work", error=TimeoutError("late"))`. Returns their ids, the oldest first."""
    worker = hand()

    def make(many: int = 1, *, error: BaseException | None = None, **options: Any) -> list[str]:
        ids = []
        for _ in range(many):
            ids.append(broker.enqueue(message("q", **options)).message_id)
            worker.bury(worker.fetch_one(), error)
            next_millisecond(broker)
        return ids

    return make


def run(broker: JobyardBroker, command: DeadCommand, token: str = "all", **more: Any) -> dead_letters.Outcome:
    words: dict[str, Any] = {"uid": "uid-1", "annotation": f"jobyard.dev/{command.action}-dead", "epoch": 1, **more}
    return run_command(broker, "q", command, token=token, **words)


def dead(broker: JobyardBroker) -> list[str]:
    """The ids of the dead letters, the oldest first."""
    return [job.id for job in broker.dead_letters.select("q")]


# What is shown -----------------------------------------------------------------------------------------------------


def test_the_newest_letters_come_first_with_what_people_want_to_know(
    broker: JobyardBroker, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(2)
    monkeypatch.setenv("JOBYARD_IMAGE", "shop:1.4")
    (job_id,) = bury(1, error=TimeoutError("no answer"))
    letters = newest(broker, "q", 2)
    assert len(letters) == 2
    letter = letters[0]
    assert (letter.job_id, letter.actor, letter.attempts) == (job_id, "work", 1)
    assert (letter.error_type, letter.error_message, letter.image) == ("TimeoutError", "no answer", "shop:1.4")
    assert letter.arguments == {"args": [], "kwargs": {}}
    assert letter.died.endswith("Z")
    assert letter.died > letters[1].died
    assert letters[1].image is None
    assert newest(broker, "q", 0) == []
    assert newest(broker, "other", 5) == []


def test_the_image_of_a_pod_that_is_gone_is_shown(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBYARD_POD_NAME", "mail-1")
    broker.enqueue(message("q", job_id="poison"))
    worker = hand()
    worker.fetch_one()
    fence_pod(broker, "mail-1", Cause(kind="OOMKilled", message="too large", counts_attempt=True, image="shop:1.4"))
    again = worker.fetch_one()
    again.spent = True  # all its attempts are used up: it is not run again
    worker.bury(again)
    (letter,) = newest(broker, "q", 1)
    assert (letter.image, letter.error_type, letter.attempts) == ("shop:1.4", "OOMKilled", 1)


# What is done ------------------------------------------------------------------------------------------------------


def test_all_letters_are_retried(broker: JobyardBroker, bury: Bury) -> None:
    ids = bury(3)
    told: list[int] = []
    outcome = run(broker, RETRY, progress=told.append)
    assert outcome == dead_letters.Outcome(3, True, "retried 3 dead letters")
    assert [look_up(broker, job_id).state for job_id in ids] == ["waiting"] * 3
    assert [job.id for job in broker.inspector.jobs("q", "waiting")] == ids
    assert told == [3]
    assert broker.inspector.stats("q").counts["revived"] == 3


def test_letters_are_discarded(broker: JobyardBroker, bury: Bury) -> None:
    bury(3)
    assert run(broker, DISCARD, token="all #1").message == "discarded 3 dead letters"
    stats = broker.inspector.stats("q")
    assert (stats.dead, stats.counts["discarded"], stats.orphaned) == (0, 3, 0)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ({"actor": "mail"}, [0, 1]),
        ({"error": "TimeoutError"}, [1, 2]),
        ({"error": "NO ANSWER"}, [1, 2]),
        ({"actor": "mail", "error": "TimeoutError"}, [1]),
        ({"actor": "nobody"}, []),
        ({"limit": 2}, [0, 1]),
        ({"older_than": 3600.0}, []),
        ({"older_than": 0.0, "limit": 1}, [0]),
    ],
)
def test_what_is_given_must_fit(
    broker: JobyardBroker, bury: Bury, command: dict[str, Any], expected: list[int]
) -> None:
    ids = [
        *bury(actor="mail"),
        *bury(actor="mail", error=TimeoutError("no answer")),
        *bury(actor="report", error=TimeoutError("no answer")),
    ]
    outcome = run(broker, DeadCommand(action="discard", **command))
    assert (outcome.changed, outcome.finished) == (len(expected), True)
    assert dead(broker) == [job_id for number, job_id in enumerate(ids) if number not in expected]


def test_ids_that_are_no_dead_letters_are_told(broker: JobyardBroker, bury: Bury, send: Callable[..., str]) -> None:
    first, second = bury(2)
    waiting = send()
    outcome = run(broker, DeadCommand(action="discard", ids=(second, waiting, "unknown")))
    assert outcome.message == "discarded 1 dead letter; 2 of the ids were no dead letters"
    assert dead(broker) == [first]
    assert look_up(broker, waiting).state == "waiting"


def test_letters_are_retried_slowly(broker: JobyardBroker, bury: Bury) -> None:
    ids = bury(4)
    assert run(broker, DeadCommand(action="retry", rate=2.0)).message == "retried 4 dead letters, 2 a second"
    first, *others = (look_up(broker, job_id) for job_id in ids)
    assert first.state == "waiting"
    due = [job.due_at or 0 for job in others]
    assert [later - due[0] for later in due] == [0, 500, 1000]


def test_letters_are_discarded_slowly_and_it_ends_when_it_shall_go_on_no_longer(
    broker: JobyardBroker, bury: Bury
) -> None:
    bury(6)
    command = DeadCommand(action="discard", rate=10.0)
    begin = time.monotonic()
    told: list[int] = []
    outcome = run(broker, command, keep_going=lambda: not told or told[-1] < 3, progress=told.append)
    assert (outcome.changed, outcome.finished) == (3, False)
    assert told == [1, 2, 3]
    assert run(broker, command).changed == 6
    # The first one at once, the others a tenth of a second after each other.
    assert time.monotonic() - begin >= 0.5
    assert dead(broker) == []


# Once --------------------------------------------------------------------------------------------------------------


def test_a_command_that_has_ended_does_nothing_more_and_another_one_does(broker: JobyardBroker, bury: Bury) -> None:
    bury(2)
    assert run(broker, RETRY).changed == 2
    broker.flush("q")
    (again,) = bury()
    before = snapshot(broker)
    assert run(broker, RETRY) == dead_letters.Outcome(2, True, "retried 2 dead letters")
    assert snapshot(broker) == before
    assert dead(broker) == [again]
    assert run(broker, RETRY, token="all #2").changed == 1
    assert run(broker, RETRY, uid="uid-2").changed == 0, "another JobQueue has its own"


def test_a_letter_that_dies_again_is_not_retried_again(
    broker: JobyardBroker, bury: Bury, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the operator is killed before it is through."""
    ids = bury(6)
    worker = hand()
    monkeypatch.setattr("jobyard.broker.search._AT_ONCE", 3)
    told: list[int] = []
    outcome = run(broker, RETRY, keep_going=lambda: not told, progress=told.append)
    assert (outcome.changed, outcome.finished, outcome.message) == (3, False, "retried 3 dead letters so far")
    worker.bury(worker.fetch_one())
    assert run(broker, RETRY).changed == 6
    assert dead(broker) == [ids[0]]


@pytest.mark.parametrize("when", ["before the call", "after the call"])
@pytest.mark.parametrize("fault", range(1, 5))
@pytest.mark.parametrize("action", ["retry", "discard"])
def test_an_operator_that_is_killed_at_any_step_is_followed_by_one_that_goes_on(
    broker: JobyardBroker, bury: Bury, monkeypatch: pytest.MonkeyPatch, action: Any, fault: int, when: str
) -> None:
    ids = bury(7)
    monkeypatch.setattr("jobyard.broker.search._AT_ONCE", 3)
    command = DeadCommand(action=action, limit=5)
    real = Link.call
    calls = 0

    def killed(link: Link, one: Script, keys: Sequence[bytes], arguments: Sequence[Argument] = ()) -> Any:
        nonlocal calls
        calls += one.name == "command"
        if one.name == "command" and calls == fault:
            if when == "after the call":
                real(link, one, keys, arguments)
            raise BrokerUnavailableError("killed")
        return real(link, one, keys, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Link, "call", killed)
        with pytest.raises(BrokerUnavailableError):
            run(broker, command)
    outcome = run(broker, command, epoch=2)
    assert (outcome.changed, outcome.finished) == (5, True)
    assert dead(broker) == ids[5:]
    counts = broker.inspector.stats("q").counts
    assert counts.get("revived" if action == "retry" else "discarded") == 5


def test_a_reply_that_gets_lost_moves_nothing_twice(
    broker: JobyardBroker, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(3)
    real = Link.call

    def twice(link: Link, one: Script, keys: Sequence[bytes], arguments: Sequence[Argument] = ()) -> Any:
        first = real(link, one, keys, arguments)
        if one.name != "command":
            return first
        after = snapshot(broker)
        second = real(link, one, keys, arguments)
        assert snapshot(broker) == after
        return second

    with monkeypatch.context() as patch:
        patch.setattr(Link, "call", twice)
        assert run(broker, DeadCommand(action="retry", limit=2, rate=5.0)).changed == 2


def test_a_leader_of_before_moves_nothing(broker: JobyardBroker, bury: Bury) -> None:
    ids = bury(2)
    assert run(broker, DeadCommand(action="discard", limit=1), epoch=7).changed == 1
    with pytest.raises(Superseded, match="epoch 6 is over"):
        run(broker, DISCARD, token="other", epoch=6)
    assert dead(broker) == ids[1:]


def test_letters_that_others_move_meanwhile_are_moved_once(broker: JobyardBroker, bury: Bury) -> None:
    bury(60)
    moved: list[int] = []
    threads = [
        threading.Thread(target=lambda: moved.append(broker.dead_letters.retry_all("q"))),
        threading.Thread(target=lambda: moved.append(run(broker, RETRY, uid="uid-1").changed)),
        threading.Thread(target=lambda: moved.append(run(broker, DISCARD, uid="uid-1").changed)),
        threading.Thread(target=lambda: moved.append(run(broker, RETRY, uid="uid-2").changed)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(moved) == 60
    stats = broker.inspector.stats("q")
    assert stats.waiting + stats.counts.get("discarded", 0) == 60


def test_two_leaders_that_run_the_same_command_move_each_letter_once(broker: JobyardBroker, bury: Bury) -> None:
    ids = bury(40)
    outcomes: list[dead_letters.Outcome] = []
    command = DeadCommand(action="discard", limit=30)
    threads = [threading.Thread(target=lambda: outcomes.append(run(broker, command))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [outcome.changed for outcome in outcomes] == [30] * 3
    assert dead(broker) == ids[30:]


def test_old_records_are_forgotten(broker: JobyardBroker, bury: Bury) -> None:
    client, key = broker.server.client(), broker.keys("q")["operator"]
    client.hset(key, mapping={"command old": "abc 1000 5 1 1000.000", "command odd": "?", "memory": "m"})
    run(broker, RETRY)
    assert {field.decode() for field in client.hkeys(key)} == {
        "epoch", "memory", "command uid-1 jobyard.dev/retry-dead",
    }  # fmt: skip


@pytest.mark.parametrize(("action", "state"), [("retry", "waiting"), ("discard", None)])
def test_one_letter_is_moved_once_and_only_if_it_is_that_one(
    broker: JobyardBroker, bury: Bury, hand: Callable[..., Hand], action: Any, state: str | None
) -> None:
    job_id, other = bury(2)
    late, shown = newest(broker, "q", 2)
    assert shown.job_id == job_id
    assert move_letter(broker, "q", job_id, action, died=shown.died, epoch=3)
    assert not move_letter(broker, "q", job_id, action, died=shown.died, epoch=3)
    job = broker.inspector.job(job_id)
    assert (None if job is None else job.state) == state
    assert dead(broker) == [other]

    worker = hand()
    broker.dead_letters.retry("q", [other])
    while other not in dead(broker):
        worker.bury(worker.fetch_one())
    assert not move_letter(broker, "q", other, action, died=late.died, epoch=3), "it has died again"
    with pytest.raises(Superseded):
        move_letter(broker, "q", other, action, died=late.died, epoch=2)
    with pytest.raises(ValueError, match="isoformat"):
        move_letter(broker, "q", other, action, died="yesterday", epoch=3)
