"""The guide for those who come from Dramatiq is complete. That jobs move over is shown in `tests/cli/test_import.py`."""

from __future__ import annotations

from pathlib import Path

from dramatiq.brokers.stub import StubBroker
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend

GUIDE = Path(__file__).parents[2] / "docs" / "dramatiq.md"


def test_the_guide_names_every_option_that_dramatiq_has() -> None:
    text = GUIDE.read_text()
    options = StubBroker().actor_options | Results(backend=StubBackend()).actor_options
    # `pipe_target` is what a pipeline writes into a message; nobody gives it.
    assert [name for name in sorted(options) if f"`{name}`" not in text] == ["pipe_target"]
