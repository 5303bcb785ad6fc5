"""`jobyard bench` as a user runs it. What it measures is no test; that it measures, and loses nothing, is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FIELDS = {
    "enqueue_per_s",
    "enqueue_bulk_per_s",
    "drain_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "idle_latency_p50_ms",
    "round_trips_per_job",
    "redis_us_per_job",
    "bytes_per_job",
}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_benchmark_prints_one_flat_object_and_loses_nothing() -> None:
    command = [sys.executable, "-m", "jobyard.cli", "bench", "--jobs", "2000", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["lost"] == 0
    assert report["jobs"] == 2000
    assert all(report[name] > 0 for name in FIELDS)
