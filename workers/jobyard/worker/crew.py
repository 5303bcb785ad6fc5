"""A supervisor's children, and what was counted about them: shared by the supervisor, which acts, and the pulse, which tells."""

from __future__ import annotations

from collections import Counter

from jobyard.worker.handle import Handle
from jobyard.worker.metrics import Books


class Crew:
    """All children.

    Args:
        wanted: how many workers shall serve.
        threads: of each.

    Attributes:
        children: by process id, oldest first.
        books: what children that are dead have counted.
        restarts: how many children were replaced, by reason.
        recovered: how many jobs of dead children were handed back or completed.
        stopping: no new ones are started.
    """

    def __init__(self, wanted: int, threads: int) -> None:
        self.wanted = wanted
        self.threads = threads
        self.children: dict[int, Handle] = {}
        self.books = Books()
        self.restarts: Counter[str] = Counter()
        self.recovered = 0
        self.stopping = False

    def workers(self) -> list[Handle]:
        """Those that are there to run jobs."""
        return [child for child in self.children.values() if child.assignment.role == "worker"]

    def undertakers(self) -> list[Handle]:
        """Those that are there to see to the jobs of dead ones."""
        return [child for child in self.children.values() if child.assignment.role == "undertaker"]

    def staying(self) -> list[Handle]:
        """Workers that serve or will serve."""
        return [child for child in self.workers() if child.stays]

    def serving(self) -> list[Handle]:
        """Workers that run jobs, and go on doing so."""
        return [child for child in self.staying() if child.ready is not None]

    def jobs_ended(self) -> bool:
        """Whether any job that has run here has ever ended by itself, well or not."""
        reports = [child.report for child in self.workers() if child.report is not None]
        outcomes = self.books.with_reports(reports).outcomes
        return any(count for (_, _, outcome), count in outcomes.items() if outcome not in ("spent", "back"))
