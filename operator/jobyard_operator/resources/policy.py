"""`spec.policy` of a JobQueue: what Redis enforces at every fetch. It acts at once, without restarting pods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from jobyard_operator.resources.meta import Int32, Model, rule, rules

_DAY = 86_400


class RateLimit(Model):
    """So many jobs may start in a period, evenly spaced."""

    jobs: Annotated[Int32, Field(ge=1, le=1_000_000, description="How many jobs may start in a period.")]
    period_seconds: Annotated[Int32, Field(ge=1, le=366 * _DAY, description="Length of the period in seconds.")] = 1
    burst: Annotated[
        Int32,
        Field(ge=1, description="How many of them may start at once after a pause; the others are evenly spaced."),
    ] = 1


class Kept(Model):
    """How many ended jobs are kept, and how long. What exceeds either is removed, the oldest first."""

    count: Annotated[Int32 | None, Field(ge=0, description="How many are kept at most; 0 keeps none.")] = None
    age_seconds: Annotated[Int32 | None, Field(ge=0, le=3660 * _DAY, description="For how many seconds at most.")] = (
        None
    )


class Retention(Model):
    """How long ended jobs are kept, with their results and errors."""

    completed: Annotated[Kept | None, Field(description="Completed jobs. Default: 100,000 for an hour.")] = None
    cancelled: Annotated[Kept | None, Field(description="Cancelled jobs. Default: 10,000 for a day.")] = None
    dead: Annotated[Kept | None, Field(description="Dead letters. Default: 100,000 for 30 days.")] = None


class KeyLimits(Model):
    """Limits for the jobs of one key, a tenant for instance."""

    concurrency: Annotated[
        Int32 | None,
        Field(ge=1, description="How many jobs of a key run at the same time; 1 is strict order in each key."),
    ] = None
    rate_limit: Annotated[RateLimit | None, Field(description="How many jobs of a key start in a period.")] = None


class Fairness(Model):
    """Keys take turns, so that one with many jobs doesn't delay the others."""

    weights: Annotated[
        dict[str, Annotated[Int32, Field(ge=1, le=1000)]] | None,
        Field(
            max_length=256, description="By key: how many turns it gets for each one of a key that is not named here."
        ),
    ] = None


class CircuitBreaker(Model):
    """When the jobs of a dependency that fails are held, and for how long. See docs/circuit-breaker.md."""

    failures: Annotated[
        Int32 | None, Field(ge=1, description="So many failed attempts in a row open the breaker. Default: 5.")
    ] = None
    pause_seconds: Annotated[
        Int32 | None,
        Field(ge=1, le=_DAY, description="For how long it stays open before one job tries again. Default: 30."),
    ] = None
    max_pause_seconds: Annotated[
        Int32 | None,
        Field(ge=1, le=_DAY, description="The pause doubles each time that fails, up to this. Default: 600."),
    ] = None


class Policy(Model):
    """What Redis enforces at every fetch, in the whole fleet."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.fairness) || !has(self.ageingSeconds)",
                "ageingSeconds and fairness both decide a job's position: remove one of them",
            )
        )
    )

    ageing_seconds: Annotated[
        Int32 | None,
        Field(
            ge=1,
            le=30 * _DAY,
            description="Seconds of waiting that one level of priority is worth, so that jobs of low priority get their turn. "
            "Without it priorities are strict.",
        ),
    ] = None
    concurrency: Annotated[
        Int32 | None, Field(ge=1, description="How many of the queue's jobs run at the same time.")
    ] = None
    rate_limit: Annotated[RateLimit | None, Field(description="How many of the queue's jobs start in a period.")] = None
    keys: Annotated[KeyLimits | None, Field(description="Limits for the jobs of each key, a tenant for instance.")] = (
        None
    )
    when_rate_exceeded: Annotated[
        Literal["Hold", "Reject"],
        Field(description="Hold: a job that exceeds a rate waits for its slot. Reject: it is not accepted."),
    ] = "Hold"
    fairness: Annotated[
        Fairness | None,
        Field(description="Keys take turns. {} gives all of them the same weight. Not together with ageingSeconds."),
    ] = None
    circuit_breaker: Annotated[
        CircuitBreaker | None, Field(description="When jobs whose dependency fails are held, and for how long.")
    ] = None
    retention: Annotated[Retention | None, Field(description="How long ended jobs are kept.")] = None
