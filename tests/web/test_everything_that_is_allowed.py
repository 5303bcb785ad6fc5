"""Whatever the OpenAPI document allows, and much that it doesn't, is sent to a real server: schemathesis finds nothing.

That is: no 5xx, every answer as the document says, what is wrong is refused, what is right isn't, no token no answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker
from web.conftest import Client

TOKEN = "correct-horse-battery-staple"

CONFIG = """
request-timeout = 20
[checks]
# What the document can't say: there is no such job or queue (404), another has its unique key (409), no worker has such an
# actor, or two fields don't fit together (422), the rate is used up (429).
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429]
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(
    serve: Callable[..., Client],
    broker: JobyardBroker,
    redis_url: str,
    bury: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    web = serve(redis_url, token=TOKEN)
    bury("reports", "no paper", 3)
    for number in range(20):
        broker.enqueue(Message("emails", "nobody", (number,), {"to": "ada"}, {}, f"job-{number}"))
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)

    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run", f"{web.url}/api/openapi.json",
            "--header", f"Authorization: Bearer {TOKEN}",
            # A stream without an end; it has tests of its own.
            "--exclude-path", "/api/events",
            # One thread: in several, Python 3.11's parser, which hypothesis calls, now and then fails by itself.
            "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "4", "--workers", "1",
            "--no-shrink", "--continue-on-failure", "--warnings", "off",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5000:]
    # Jobs are all somewhere still.
    assert all(broker.inspector.stats(name).lost == 0 for name in broker.inspector.queues())
