"""The cache of the cluster, whichever way it hears of something: late, twice, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from jobyard_operator.core.rendering import QUEUE_LABEL
from jobyard_operator.kubernetes import cache as module
from jobyard_operator.kubernetes.cache import Cache, Change, Key
from jobyard_operator.kubernetes.kinds import PODS

POD = Key("shop", "p")
EMAILS, REPORTS = Key("shop", "emails"), Key("shop", "reports")


def pod(version: int, *, uid: str = "u", queue: str | None = "emails", name: str = "p") -> dict[str, Any]:
    labels = {} if queue is None else {QUEUE_LABEL: queue}
    meta = {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": meta, "spec": {}, "status": {}}


@pytest.fixture
def heard() -> list[Change]:
    return []


@pytest.fixture
def cache(heard: list[Change]) -> Cache:
    return Cache(heard.append)


def version(cache: Cache) -> str | None:
    found = cache.get(PODS, POD)
    return None if found is None else found["metadata"]["resourceVersion"]


def test_what_comes_changes_and_goes_is_heard_once(cache: Cache, heard: list[Change]) -> None:
    for told in (pod(1), pod(1), pod(2)):
        cache.put(PODS, told)
    cache.remove(PODS, pod(3))
    cache.remove(PODS, pod(3))
    states = [(one.before is not None, one.after is not None) for one in heard]
    assert states == [(False, True), (True, True), (True, False)]
    assert {one.queue for one in heard} == {EMAILS}
    assert version(cache) is None
    assert cache.of(PODS, EMAILS) == []


def test_an_older_state_is_left_aside(cache: Cache, heard: list[Change]) -> None:
    cache.put(PODS, pod(10))
    cache.put(PODS, pod(9))
    assert version(cache) == "10"
    assert len(heard) == 1


def test_another_object_of_the_same_name_takes_the_place(cache: Cache) -> None:
    cache.put(PODS, pod(10, uid="old"))
    cache.put(PODS, pod(12, uid="new"))
    cache.remove(PODS, pod(11, uid="old"))  # It is told late.
    assert version(cache) == "12"


def test_what_went_while_nobody_heard_it_is_found_by_a_list(cache: Cache, heard: list[Change]) -> None:
    cache.put(PODS, pod(1))
    cache.put(PODS, pod(2, uid="v", name="q"))
    known = cache.keys(PODS)
    cache.put(PODS, pod(3, uid="w", name="r"))  # It came after the list was asked for, and isn't in it.
    cache.replace(PODS, [pod(1)], known)
    assert {key.name for key in cache.keys(PODS)} == {"p", "r"}
    assert [one.key.name for one in heard if one.after is None] == ["q"]


def test_a_list_that_was_read_before_something_went_does_not_bring_it_back(cache: Cache) -> None:
    cache.put(PODS, pod(1))
    known = cache.keys(PODS)
    cache.remove(PODS, pod(2))
    cache.replace(PODS, [pod(1)], known)
    assert version(cache) is None
    cache.put(PODS, pod(3))  # It has lost its label for a while.
    assert version(cache) == "3"


def test_an_object_whose_label_changes_belongs_to_another_queue(cache: Cache) -> None:
    cache.put(PODS, pod(1))
    cache.put(PODS, pod(2, queue="reports"))
    assert cache.of(PODS, EMAILS) == []
    assert len(cache.of(PODS, REPORTS)) == 1
    cache.put(PODS, pod(3, queue=None))
    assert cache.of(PODS, REPORTS) == []
    assert version(cache) == "3"


def test_it_remembers_nothing_of_what_is_long_gone(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GONE", 5)
    for number in range(20):
        cache.put(PODS, pod(2 * number + 1, uid=str(number), queue=str(number)))
        cache.remove(PODS, pod(2 * number + 2, uid=str(number), queue=str(number)))
        cache.of(PODS, Key("shop", str(number)))
    assert len(cache._gone) == 5
    assert not cache._owned
