"""An encoder of the application's own, which knows more types than JSON."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dramatiq

from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)


def to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"__datetime__": value.isoformat()}
    if isinstance(value, Decimal):
        return {"__decimal__": str(value)}
    raise TypeError(f"no idea how to write {value!r}")


def from_json(value: dict[str, Any]) -> Any:
    if "__datetime__" in value:
        return datetime.fromisoformat(value["__datetime__"])
    if "__decimal__" in value:
        return Decimal(value["__decimal__"])
    return value


class RichEncoder(dramatiq.Encoder):
    def encode(self, data: Any) -> bytes:
        return json.dumps(data, default=to_json).encode()

    def decode(self, data: bytes) -> Any:
        return json.loads(data, object_hook=from_json)


# Only now: a program may set its encoder after its broker.
dramatiq.set_encoder(RichEncoder())


@dramatiq.actor
def tomorrow(now: datetime, price: Decimal) -> list[Any]:
    return [type(now).__name__, now, price * 2]


@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=2, throws=(), on_failure="heard")
def fails(when: datetime) -> None:
    raise RuntimeError(f"at {when.year}")


@dramatiq.actor
def heard(message_data: dict[str, Any], exception_data: dict[str, Any]) -> str:
    return message_data["args"][0].isoformat()


@dramatiq.actor(priority=7)
def returns_it(value: Any) -> Any:
    return value


NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
