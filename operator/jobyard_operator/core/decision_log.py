"""Decisions as lines of JSON that hold all that they were made from, so that anybody can make them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from jobyard_operator.core.observation import Decision, Memory, Observation, Rules
from jobyard_operator.core.reasons import Bound, Reason
from jobyard_operator.core.scaling import decide


class LogError(ValueError):
    """A line is no decision; the message says which line, and what is wrong with it."""


def line(rules: Rules, observation: Observation, memory: Memory, decision: Decision) -> str:
    """One decision with what it was made from; `memory` as it was before."""
    whole = {
        "rules": asdict(rules),
        "observation": asdict(observation),
        "memory": asdict(memory),
        "decision": asdict(decision),
    }
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def replay(lines: Iterable[str]) -> Iterator[tuple[Decision, Decision]]:
    """Each decision of the log, and the one that this version makes from the same values.

    Raises:
        LogError: a line is no decision of this version.
    """
    for number, text in enumerate(lines, 1):
        try:
            whole: dict[str, Any] = json.loads(text)
            rules, observation = Rules(**whole["rules"]), Observation(**whole["observation"])
            memory, logged = Memory.from_json(whole["memory"]), _decision(whole["decision"])
        except (ValueError, TypeError, KeyError) as error:
            raise LogError(f"line {number} is not a decision of this version: {error!r}") from error
        yield logged, decide(rules, observation, memory)


def _decision(fields: dict[str, Any]) -> Decision:
    return Decision(
        desired=fields["desired"],
        reason=Reason(fields["reason"]),
        sentence=fields["sentence"],
        bounds=tuple(Bound(bound) for bound in fields["bounds"]),
        inputs=fields["inputs"],
        memory=Memory.from_json(fields["memory"]),
    )
