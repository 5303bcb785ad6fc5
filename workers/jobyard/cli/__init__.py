"""The `jobyard` command, also `kubectl jobyard`. Each command is a module of its own that registers itself with `app`."""

from __future__ import annotations

from importlib import import_module

from jobyard.cli.app import app

#: In the order in which `jobyard --help` shows them.
COMMANDS = (
    "up", "operator", "worker", "serve", "enqueue", "job", "job_actions", "queue", "breakers", "dead", "dead_groups", "batch",
    "schedule", "workers", "top", "audit", "imports", "bench", "chaos",
)  # fmt: skip


def main() -> None:
    """Run the command line."""
    for name in COMMANDS:
        import_module(f"jobyard.cli.{name}")
    app()
