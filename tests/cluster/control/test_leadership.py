"""One of several leads, whatever becomes of it; and each leader's epoch is higher than all before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from cluster.cluster import Cluster
from cluster.control.candidate import LEASE, Candidate
from support.waiting import eventually

Run = Callable[..., list[Candidate]]


@pytest.fixture
def run(access: Path, kube_namespace: str) -> Iterator[Run]:
    """Lets some candidates run: `run("a", "b")`. All the time, no two of them may lead."""
    candidates: list[Candidate] = []
    several: list[list[str]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            leaders = [one.identity for one in list(candidates) if one.leads]
            if len(leaders) > 1:
                several.append(leaders)

    def start(*names: str) -> list[Candidate]:
        made = [Candidate(access, kube_namespace, name) for name in names]
        candidates.extend(made)
        return made

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield start
    over.set()
    watcher.join()
    for one in candidates:
        one.stop()
    assert several == []


def _leader(candidates: list[Candidate], timeout: float = 10) -> Candidate:
    return (
        eventually(lambda: next((one for one in candidates if one.leads), None), timeout, what="one leads")
        or candidates[0]
    )


def _time(lease: dict[str, dict[str, str]], name: str) -> float:
    return datetime.fromisoformat(lease["spec"][name]).timestamp()


def test_one_of_several_that_begin_at_once_leads_and_gives_back_when_it_stops(
    control_plane: Cluster, kube_namespace: str, run: Run
) -> None:
    candidates = run("a", "b", "c", "d")
    first = _leader(candidates)
    assert first.epoch == 1
    assert control_plane.get(kube_namespace, "lease", LEASE)["spec"]["holderIdentity"] == first.identity

    stopped = time.monotonic()
    first.stop()
    rest = [one for one in candidates if one is not first]
    second = _leader(rest)
    assert time.monotonic() - stopped < 3, "it looks every two seconds"
    assert second.epoch == 2
    lease = control_plane.get(kube_namespace, "lease", LEASE)
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == (second.identity, 2)


def test_whoever_stands_still_ceases_to_lead_before_another_begins(
    control_plane: Cluster, kube_namespace: str, run: Run
) -> None:
    (old,) = run("old")
    _leader([old])
    (new,) = run("new")
    old.freeze()
    before = control_plane.get(kube_namespace, "lease", LEASE)
    eventually(lambda: not old.leads, 7, what="by its own clock, the old one leads no more")
    assert not new.leads
    _leader([new], 10)
    after = control_plane.get(kube_namespace, "lease", LEASE)
    assert 9 <= _time(after, "acquireTime") - _time(before, "renewTime") < 12.5
    assert new.epoch == old.epoch + 1 == 2

    old.thaw()
    eventually(lambda: [change[1] for change in old.changes] == [True, False], 5, what="it hears that it leads no more")
    new.stop()
    _leader([old], 5)
    assert old.epoch == 3, "the same one again has another epoch"


def test_one_that_comes_back_under_the_same_name_has_a_higher_epoch(run: Run) -> None:
    (before,) = run("same")
    _leader([before])
    before.freeze()
    eventually(lambda: not before.leads, 7)
    (again,) = run("same")
    _leader([again], 5)
    assert (before.epoch, again.epoch) == (1, 2)
    again.stop()


def test_a_lease_that_somebody_deletes_is_made_again_with_a_higher_epoch(
    control_plane: Cluster, kube_namespace: str, run: Run
) -> None:
    holder, other = run("holder")[0], run("other")[0]
    leader = _leader([holder, other])
    control_plane.kubectl("-n", kube_namespace, "delete", "lease", LEASE)
    eventually(lambda: leader.epoch == 2 and leader.leads, 5, what="whoever led leads on")
    rest = other if leader is holder else holder
    eventually(lambda: rest.leadership.heard == 2, 5, what="the other one has heard of it")
    assert not rest.leads

    # And if the holder is gone, too, another one takes it for over after some time.
    leader.freeze()
    control_plane.kubectl("-n", kube_namespace, "delete", "lease", LEASE)
    _leader([rest], 13)
    assert rest.epoch == 3


def test_a_leader_outdoes_an_epoch_that_was_found_in_redis(run: Run) -> None:
    (only,) = run("only")
    _leader([only])
    only.leadership.rise_above(40)
    eventually(lambda: only.changes[-1][1:] == (True, 41), 5, what="its epoch is higher, and it says so")
    assert only.leads
