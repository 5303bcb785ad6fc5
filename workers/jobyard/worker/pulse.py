"""How a worker is, for its probes: what is wrong, what is missing, and all its metrics."""

from __future__ import annotations

import asyncio
from typing import Final

from jobyard.worker.crew import Crew
from jobyard.worker.messages import Ask, Figures, QueueFigures
from jobyard.worker.metrics import Snapshot, exposition

#: Seconds for which the queues are not looked at again, and seconds that this may take.
FIGURES_AGE: Final = 2.0
FIGURES_PATIENCE: Final = 1.5


class Pulse:
    """What `Probes` asks.

    Args:
        silence: seconds after which a child that has said nothing gives cause for a complaint.
    """

    def __init__(self, crew: Crew, silence: float) -> None:
        self._crew = crew
        self._silence = silence
        self._asked = 0
        self._answer: asyncio.Future[list[QueueFigures] | None] | None = None
        self._looking: asyncio.Task[list[QueueFigures] | None] | None = None
        self._looked_at = float("-inf")

    def complaints(self) -> list[str]:
        """Children that are unwell. They are being replaced; if that doesn't work, the whole container should be."""
        now = asyncio.get_running_loop().time()
        found = []
        for child in self._crew.workers():
            silent = child.silent_for(now)
            if child.report is not None and child.report.complaint is not None:
                found.append(f"process {child.name()}: {child.report.complaint}")
            elif silent > self._silence and child.status is None:
                found.append(f"process {child.name()} has not answered for {silent:.0f} s")
        return found

    def obstacles(self) -> list[str]:
        """Why no jobs, or not as many as wanted, are run."""
        crew = self._crew
        if crew.stopping:
            return ["stopping"]
        serving = crew.serving()
        found = []
        if len(serving) < crew.wanted:
            found.append(f"{len(serving)} of {crew.wanted} processes are ready")
        if any(child.report is None or not child.report.redis for child in serving):
            found.append("Redis does not answer")
        return found

    async def metrics(self) -> bytes:
        """Everything, in Prometheus' text format."""
        queues = await self._figures()
        crew = self._crew
        workers, serving = crew.workers(), crew.serving()
        reports = [child.report for child in workers if child.report is not None]
        busy = sum(report.busy for report in reports)
        draining = sum(child.drained_by is not None for child in workers)
        return exposition(
            Snapshot(
                books=crew.books.with_reports(reports),
                wanted=crew.wanted,
                processes={
                    "starting": len(workers) - len(serving) - draining,
                    "ready": len(serving),
                    "draining": draining,
                },
                busy=busy,
                idle=max(0, len(serving) * crew.threads - busy),
                memory={str(child.pid): child.report.memory for child in workers if child.report is not None},
                restarts=dict(crew.restarts),
                recovered=crew.recovered,
                queues=queues,
            )
        )

    def answered(self, figures: Figures) -> None:
        """A child says how the queues are."""
        if self._answer is not None and figures.number == self._asked and not self._answer.done():
            self._answer.set_result(figures.queues)

    async def _figures(self) -> list[QueueFigures] | None:
        """How the queues are: looked at every two seconds at most, however many ask. None: Redis is away."""
        now = asyncio.get_running_loop().time()
        if self._looking is None or (self._looking.done() and now - self._looked_at > FIGURES_AGE):
            self._looking = asyncio.create_task(self._look())
        # Somebody who goes away doesn't take the answer from the others.
        return await asyncio.shield(self._looking)

    async def _look(self) -> list[QueueFigures] | None:
        loop = asyncio.get_running_loop()
        self._looked_at = loop.time()
        serving = self._crew.serving()
        if not serving:
            return None
        self._asked += 1
        self._answer = loop.create_future()
        max(serving, key=lambda child: child.heard_at).send(Ask(self._asked))
        try:
            async with asyncio.timeout(FIGURES_PATIENCE):
                return await self._answer
        except TimeoutError:
            return None
