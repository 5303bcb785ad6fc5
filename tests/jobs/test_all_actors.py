"""`jobyard worker jobyard.jobs` finds the built-in actors; a missing library is named, and what to install."""

from __future__ import annotations

import subprocess
import sys

import dramatiq
import pytest

from jobyard.jobs import generate_report, process_image, send_email


def test_one_import_declares_the_three_actors_on_their_queues() -> None:
    actors = [send_email, process_image, generate_report]
    assert [(actor.actor_name, actor.queue_name) for actor in actors] == [
        ("send_email", "emails"),
        ("process_image", "images"),
        ("generate_report", "reports"),
    ]


@pytest.mark.parametrize("library", ["PIL", "urllib3"])
def test_a_missing_library_is_named_with_the_extra_that_has_it(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import jobyard.jobs"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1] == (
        f"ImportError: the built-in job types need {library!r}, which is not installed: pip install 'jobyard[jobs]'"
    )


PAYLOADS = [
    (send_email, {"to": "ada@example.org", "subject": "Hello", "body": "Good morning!"}),
    (process_image, {"image_url": "https://example.org/photo.jpg"}),
    (
        generate_report,
        {
            "report_type": "sales",
            "date_range": {"start": "2025-01-01", "end": "2025-01-31"},
            "user_id": "1",
            "format": "csv",
        },
    ),
]


@pytest.mark.parametrize(("actor", "payload"), PAYLOADS)
def test_the_payloads_priority_becomes_the_messages(
    actor: dramatiq.Actor[..., object], payload: dict[str, object]
) -> None:
    assert actor.message(**payload).options == {}
    assert actor.message(**payload, priority="High").options == {"priority": 2}
    assert actor.message(**payload, priority=0).options == {"priority": 0}
    given_twice = actor.message_with_options(kwargs={**payload, "priority": "high"}, priority="low")
    assert given_twice.options == {"priority": 10}
