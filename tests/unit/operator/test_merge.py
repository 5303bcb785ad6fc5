"""A pod template laid over another one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard_operator.core.merge import MergeError, merged

OURS: dict[str, Any] = {
    "spec": {
        "terminationGracePeriodSeconds": 35,
        "containers": [
            {
                "name": "worker",
                "image": "shop",
                "args": ["shop.jobs"],
                "env": [
                    {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "redis"}}},
                    {"name": "MODE", "value": "x"},
                ],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
}
json = st.recursive(
    st.integers() | st.text(max_size=5), lambda inner: st.dictionaries(st.text("abc", min_size=1), inner)
)
objects = st.dictionaries(st.text("abc", min_size=1, max_size=2), json, max_size=4)


def container(part: dict[str, Any]) -> dict[str, Any]:
    return merged(OURS, {"spec": {"containers": [{"name": "worker", **part}]}})["spec"]["containers"][0]


@given(objects)
def test_nothing_changes_nothing_and_a_part_laid_twice_is_laid_once(whole: dict[str, Any]) -> None:
    before = copy.deepcopy(whole)
    assert merged(whole, {}) == whole
    assert merged(whole, whole) == whole == before


def test_fields_are_added_and_others_stay() -> None:
    result = merged(OURS, {"metadata": {"labels": {"team": "shop"}}, "spec": {"nodeSelector": {"disk": "ssd"}}})
    assert result["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert result["spec"]["terminationGracePeriodSeconds"] == 35


def test_containers_are_found_by_name() -> None:
    result = merged(OURS, {"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "worker", "tty": True}]}})
    assert [(one["name"], one["image"]) for one in result["spec"]["containers"]] == [("worker", "shop"), ("proxy", "p")]


def test_a_variable_is_replaced_as_a_whole() -> None:
    assert container({"env": [{"name": "URL", "value": "redis://x"}]})["env"] == [
        {"name": "URL", "value": "redis://x"},
        {"name": "MODE", "value": "x"},
    ]


def test_a_volume_is_replaced_as_a_whole() -> None:
    result = merged(OURS, {"spec": {"volumes": [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}}]}})
    assert result["spec"]["volumes"] == [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}}]


def test_lists_without_names_are_replaced() -> None:
    assert container({"args": ["other.jobs"]})["args"] == ["other.jobs"]


def test_null_and_directives_take_away() -> None:
    assert (
        "terminationGracePeriodSeconds" not in merged(OURS, {"spec": {"terminationGracePeriodSeconds": None}})["spec"]
    )
    assert container({"env": [{"name": "MODE", "$patch": "delete"}]})["env"] == OURS["spec"]["containers"][0]["env"][:1]
    assert merged(OURS, {"spec": {"$patch": "replace", "hostNetwork": False}}) == {"spec": {"hostNetwork": False}}


def test_directives_never_reach_the_result() -> None:
    assert "$patch" not in str(merged({}, {"spec": {"affinity": {"$patch": "replace", "nodeAffinity": None}}}))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, r"podTemplate\.spec\.containers\[0\] needs a name"),
        ({"spec": ["x"]}, r"podTemplate\.spec must be an object"),
        ({"spec": {"containers": {"name": "worker"}}}, r"podTemplate\.spec\.containers must be a list"),
    ],
)
def test_what_does_not_fit_is_named(part: dict[str, Any], words: str) -> None:
    with pytest.raises(MergeError, match=words):
        merged(OURS, part)
