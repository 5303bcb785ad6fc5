"""What a queue's policy can say. It lies in Redis and acts with the next fetch, without restarting anything."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

Milliseconds = Annotated[int, Field(ge=0)]
Period = Annotated[int, Field(ge=1, le=366 * 86_400_000)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1_000_000)]

_STORED: Final = {"stored": True}

#: Fields of the HASH for weights begin with this.
_WEIGHT: Final = "weight:"


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
        concurrency: how many of the queue's jobs run at the same time, in the whole fleet. None: no limit.
        key_concurrency: the same for the jobs of one key; 1 is strict order in each key.
        rate, rate_period, rate_burst: so many jobs start in a period (milliseconds, default 1,000), evenly spaced, but so many
            (default 1) may start at once after a pause. None: no limit.
        key_rate, key_rate_period, key_rate_burst: the same for the jobs of one key.
        breaker_failures: so many failed attempts in a row open the circuit breaker of their dependency. Default 5.
        breaker_pause, breaker_pause_max: milliseconds for which it stays open before one job tries; doubled each time that fails,
            up to the maximum. Default 30,000 and 600,000.
        rate_mode: `hold` (the default): a job that exceeds a rate waits for its slot; `reject`: it is not accepted.
        fair: keys take turns, in proportion to `weights`; a key with many jobs doesn't delay the others. Not with ageing.
        weights: by key; those that are not named have 1.
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
    concurrency: Count | None = None
    key_concurrency: Count | None = None
    rate: Rate | None = None
    rate_period: Period | None = None
    rate_burst: Count | None = None
    key_rate: Rate | None = None
    key_rate_period: Period | None = None
    key_rate_burst: Count | None = None
    rate_mode: Literal["hold", "reject"] | None = None
    breaker_failures: Count | None = None
    breaker_pause: Period | None = None
    breaker_pause_max: Period | None = None
    fair: bool | None = None
    weights: dict[str, Annotated[float, Field(ge=0.01, le=1000)]] | None = None

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        # What is stored holds, whoever wrote it: it must stay readable.
        if self.fair and self.ageing is not None and info.context != _STORED:
            raise ValueError("fair and ageing can't be combined: both decide a job's position")
        return self

    def to_fields(self) -> dict[str, str]:
        """Those parts that are set, as the fields of the policy HASH; '' where the default shall hold."""
        fields = self.model_dump(include=self.model_fields_set)
        weights = fields.pop("weights", None)
        texts = {name: _text(value) for name, value in fields.items()}
        return texts | {_WEIGHT + key: str(weight) for key, weight in (weights or {}).items()}

    @classmethod
    def from_fields(cls, fields: dict[str, str]) -> QueuePolicy:
        """From the fields of the policy HASH; fields of a newer version are left aside."""
        known = {name: value for name, value in fields.items() if name in cls.model_fields}
        weights = {name.removeprefix(_WEIGHT): value for name, value in fields.items() if name.startswith(_WEIGHT)}
        return cls.model_validate({**known, "weights": weights or None}, context=_STORED)

    def changed_by(self, change: QueuePolicy) -> QueuePolicy:
        """This policy with those parts replaced that are set in `change`.

        Raises:
            ValueError: they don't fit together.
        """
        return QueuePolicy.model_validate({**self.model_dump(), **change.model_dump(include=change.model_fields_set)})


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)
