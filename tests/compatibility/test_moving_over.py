"""Jobs that lie in the keys of Dramatiq's own Redis broker move over as `docs/dramatiq.md` says."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend

from jobyard.broker import JobyardBroker

GUIDE = Path(__file__).parents[2] / "docs" / "dramatiq.md"


def test_waiting_and_delayed_jobs_move_over_once(broker: JobyardBroker, redis_url: str) -> None:
    old = RedisBroker(url=redis_url, namespace=f"old-{broker.namespace}")
    work = dramatiq.actor(actor_name="work", queue_name="q", broker=old)(lambda x: None)
    waiting = work.send(1)
    delayed = work.send_with_options(args=(2,), delay=90_000)

    (source,) = re.findall(r"```python\n(def move\(.*?)```", GUIDE.read_text(), re.DOTALL)
    guide: dict[str, Any] = {"broker": broker, "dramatiq": dramatiq, "time": time}
    exec(source, guide)
    for _ in range(2):
        guide["move"]("q", namespace=old.namespace)

    (first,), (second,) = (broker.inspector.jobs("q", state) for state in ("waiting", "delayed"))
    assert (first.id, first.args, first.options) == (waiting.message_id, (1,), {})
    assert (second.id, second.args, second.options) == (delayed.message_id, (2,), {})
    assert second.due_at is not None
    assert 85_000 < second.due_at - time.time() * 1000 < 91_000
    old.client.close()


def test_the_guide_names_every_option_that_dramatiq_has() -> None:
    text = GUIDE.read_text()
    options = StubBroker().actor_options | Results(backend=StubBackend()).actor_options
    # `pipe_target` is what a pipeline writes into a message; nobody gives it.
    assert [name for name in sorted(options) if f"`{name}`" not in text] == ["pipe_target"]
