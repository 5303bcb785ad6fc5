"""`jobyard dead …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobyard.broker import JobyardBroker

Run = Callable[..., Any]
Bury = Callable[..., list[str]]


def _states(broker: JobyardBroker, ids: list[str]) -> list[str]:
    known = {job.id: job.state for job in broker.inspector.jobs_by_id("emails", ids)}
    return [known.get(job_id, "gone") for job_id in ids]


def test_a_dead_letter_shows_every_attempt_with_its_traceback(jobyard: Run, bury: Bury) -> None:
    [job_id] = bury("no such user", 1)
    said = jobyard("dead", "show", job_id)
    assert said.status == 0
    assert "Attempt 1: PermanentError: no such user" in said.out
    assert "Traceback" in said.out
    listed = jobyard("dead", "list", "--error", "such user", "-o", "json").json
    assert [(job["job_id"], job["state"]) for job in listed] == [(job_id, "failed")]
    assert jobyard("job", "list", "--state", "failed", "-o", "json").json == listed
    assert jobyard("queue", "stats", "emails", "-o", "json").json["failed"] == 1


def test_only_those_that_fit_are_retried(jobyard: Run, bury: Bury, broker: JobyardBroker) -> None:
    ids = bury("no such user", 1, 2) + bury("server is away", 3)
    assert jobyard("dead", "retry", "--error", "server is", "--dry-run", "-o", "json").json[0]["job_id"] == ids[2]
    assert _states(broker, ids) == ["dead"] * 3
    said = jobyard("dead", "retry", "--error", "server is")
    assert (said.status, said.out) == (0, "1 dead letter retried\n")
    assert _states(broker, ids) == ["dead", "dead", "waiting"]


def test_with_a_rate_the_later_ones_are_delayed(jobyard: Run, bury: Bury, broker: JobyardBroker) -> None:
    ids = bury("no", 1, 2, 3)
    assert jobyard("dead", "retry", "--all", "--rate", "0.01", "-o", "json").json == {"changed": 3}
    assert sorted(_states(broker, ids)) == ["delayed", "delayed", "waiting"]


def test_discarding_many_asks_first(jobyard: Run, bury: Bury, broker: JobyardBroker) -> None:
    ids = bury("no", 1, 2, 3)
    unasked = jobyard("dead", "discard", "--all")
    assert (unasked.status, "give --yes" in unasked.err) == (2, True)
    assert jobyard("dead", "discard", "--all", "--dry-run").status == 0
    assert _states(broker, ids) == ["dead"] * 3
    assert jobyard("dead", "discard", "--limit", "1", "--yes").out == "1 dead letter discarded\n"
    assert sorted(_states(broker, ids)) == ["dead", "dead", "gone"]


def test_by_id_each_must_be_a_dead_letter(jobyard: Run, bury: Bury, broker: JobyardBroker) -> None:
    ids = bury("no", 1, 2)
    said = jobyard("dead", "discard", ids[0], ids[0], "nothing")
    assert (said.status, said.out) == (1, "1 dead letter discarded\n")
    assert "'nothing'" in said.err
    assert _states(broker, ids) == ["gone", "dead"]


def test_age_is_counted_from_death(jobyard: Run, bury: Bury) -> None:
    bury("no", 1)
    assert jobyard("dead", "list", "--older-than", "7d", "-o", "json").json == []
    assert len(jobyard("dead", "list", "--older-than", "0s", "-o", "json").json) == 1


@pytest.mark.parametrize("verb", ["retry", "discard"])
@pytest.mark.parametrize("words", [(), ("x", "--all"), ("--all", "--actor", "send"), ("--queue", "emails")])
def test_what_is_meant_must_be_said(jobyard: Run, bury: Bury, verb: str, words: tuple[str, ...]) -> None:
    bury("no", 1)
    assert jobyard("dead", verb, *words).status == 2


def test_arguments_are_corrected_on_the_command_line(jobyard: Run, bury: Bury, broker: JobyardBroker) -> None:
    [job_id] = bury("no", 1)
    assert jobyard("dead", "edit", job_id, "--args", "[]", "--kwargs", "[]").status == 2
    assert _states(broker, [job_id]) == ["dead"]
    assert jobyard("dead", "edit", job_id, "--args", '["yes", 2]').status == 0
    job = broker.inspector.job(job_id)
    assert job is not None
    assert (job.state, job.args) == ("waiting", ("yes", 2))
    assert jobyard("dead", "edit", job_id, "--args", "[]").status == 1


def _editor(tmp_path: Path, code: str) -> str:
    """An editor that replaces the text by what `code` makes of it."""
    program = tmp_path / "editor.py"
    program.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "text = path.read_text(encoding='utf-8')\n"
        f"path.write_text({code}, encoding='utf-8')\n"
    )
    return f"{sys.executable} {program}"


def test_arguments_are_corrected_in_an_editor(
    jobyard: Run, bury: Bury, broker: JobyardBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    [job_id] = bury("no", "Łódź")
    monkeypatch.setenv("EDITOR", _editor(tmp_path, "text"))
    assert jobyard("dead", "edit", job_id).status == 1  # Nothing was changed.
    monkeypatch.setenv("EDITOR", _editor(tmp_path, "text + '}'"))
    assert jobyard("dead", "edit", job_id).status == 2
    monkeypatch.setenv("EDITOR", os.devnull)
    assert jobyard("dead", "edit", job_id).status == 2
    assert _states(broker, [job_id]) == ["dead"]
    monkeypatch.setenv("EDITOR", _editor(tmp_path, "text.replace('Łódź', 'Kraków')"))
    assert jobyard("dead", "edit", job_id).status == 0
    job = broker.inspector.job(job_id)
    assert job is not None
    assert (job.state, job.args) == ("waiting", ("no", "Kraków"))
