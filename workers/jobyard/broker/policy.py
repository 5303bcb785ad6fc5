"""What a queue's policy can say. It lies in Redis and acts with the next fetch, without restarting anything."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Milliseconds = Annotated[int, Field(ge=0)]


class QueuePolicy(BaseModel):
    """One queue's policy. None: the default holds.

    Attributes:
        paused: no job is started; jobs are still accepted, and running ones finish.
        ageing: seconds of waiting that one level of priority is worth. A job of priority p then waits at most
            (p - r) x ageing seconds longer than one of priority r that came at the same time. None: strict priority.
            A strict queue that shares a worker with an ageing one is measured against it by the same rule.
        completed: how many completed jobs are kept, with their results; 0: none. Default 100,000.
        completed_ttl: for how many milliseconds. Default 1 hour.
        cancelled, cancelled_ttl: the same for cancelled jobs. Default 10,000 for 1 day.
        dead, dead_ttl: the same for dead letters. Default 100,000 for 30 days. What has to go is counted as `evicted`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    paused: bool | None = None
    ageing: Annotated[float, Field(gt=0, le=30 * 86400)] | None = None
    completed: Annotated[int, Field(ge=0)] | None = None
    completed_ttl: Milliseconds | None = None
    cancelled: Annotated[int, Field(ge=0)] | None = None
    cancelled_ttl: Milliseconds | None = None
    dead: Annotated[int, Field(ge=0)] | None = None
    dead_ttl: Milliseconds | None = None

    def to_fields(self) -> dict[str, str]:
        """As the fields of the policy HASH; '' where the default holds."""
        fields = self.model_dump()
        return {name: "" if value is None else f"{value:d}" if isinstance(value, bool) else str(value)
                for name, value in fields.items()}  # fmt: skip

    @classmethod
    def from_fields(cls, fields: dict[str, str]) -> QueuePolicy:
        """From the fields of the policy HASH; fields of a newer version are left aside."""
        return cls.model_validate({name: value for name, value in fields.items() if name in cls.model_fields})
