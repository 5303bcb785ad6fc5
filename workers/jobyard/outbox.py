"""Jobs that exist if, and only if, a database transaction is committed: an outbox table, and the relay that empties it.

    with session.begin():
        session.add(order)
        outbox.add(session, ship.message(order.id))

`add` writes the job into a table of the application's own database, in the application's own transaction. A relay, which runs
beside the workers, hands the rows to the broker and deletes each only after Redis has the job. If it dies in between, the row is
handed in again: the id was made by `add`, so the job is still one. Several relays may run; on PostgreSQL and MySQL they share the
rows (SKIP LOCKED).

Needs SQLAlchemy 2 (`pip install 'jobyard[jobs]'`). For Django see docs/frameworks.md.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sql
from dramatiq import Broker, Message
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import DecodeError
from sqlalchemy.orm import Session

from jobyard.broker.errors import BrokerError
from jobyard.client.requests import delay_of
from jobyard.errors import RateLimitExceeded

logger = logging.getLogger(__name__)

#: The schema that holds the table, for `create_all` and for migrations (Alembic: add it to `target_metadata`).
metadata: Final = sql.MetaData()

table: Final = sql.Table(
    "jobyard_outbox",
    metadata,
    sql.Column("id", sql.BigInteger().with_variant(sql.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sql.Column("job_id", sql.String(256), nullable=False, unique=True),
    sql.Column("message", sql.LargeBinary, nullable=False),
    sql.Column("due_ms", sql.BigInteger, nullable=True, comment="UNIX time before which the job does not run"),
    sql.Column("error", sql.Text, nullable=True, comment="why it can never be handed in; delete or correct the row"),
)

#: Rows that one relay takes at a time.
_BATCH: Final = 200
_LONGEST_ERROR: Final = 2_000
_encoder: Final = JSONEncoder()
_OLDEST: Final = (
    sql.select(table)
    .where(table.c.error.is_(None))
    .order_by(table.c.id)
    .limit(_BATCH)
    .with_for_update(skip_locked=True)
)


def add(database: sql.Connection | Session, message: Message[Any], *, delay: int | timedelta | None = None) -> str:
    """Write a job into the outbox, as a part of the transaction that `database` is in. Returns the job's id.

    Args:
        message: what `actor.message(…)` makes.
        delay: milliseconds, or a timedelta, from now.

    Raises:
        TypeError, ValueError: its arguments can't be encoded.
    """
    database.execute(sql.insert(table).values(row(message, delay=delay)))
    return message.message_id


def row(message: Message[Any], *, delay: int | timedelta | None = None) -> dict[str, Any]:
    """The columns of a job's row, for who writes it without SQLAlchemy. See `add`."""
    wait = delay_of(delay, None)
    return {
        "job_id": message.message_id,
        "message": _encoder.encode(message.asdict()),
        "due_ms": int(time.time() * 1000) + wait if wait else None,
    }


@dataclass(frozen=True, slots=True)
class Moved:
    """What one look of a relay came to: how many jobs the broker has now, and how many rows can never be handed in."""

    handed_in: int = 0
    refused: int = 0


class Relay:
    """Hands the jobs of an outbox to a broker.

    Args:
        engine: of the application's database.
        broker: where the jobs go.
        interval: seconds between two looks at an empty outbox.
    """

    def __init__(self, engine: sql.Engine, broker: Broker, *, interval: float = 0.5) -> None:
        self._engine = engine
        self._broker = broker
        self._interval = interval
        self._stopped = threading.Event()

    def run(self) -> None:
        """Hand jobs in until `stop` is called. What fails is tried again; it raises nothing but programming errors."""
        while not self._stopped.is_set():
            try:
                moved = self.run_once()
            except (sql.exc.DBAPIError, BrokerError, RateLimitExceeded) as error:
                logger.warning("The outbox waits: %s", error)
                moved = Moved()
            if moved == Moved():
                self._stopped.wait(self._interval)

    def stop(self) -> None:
        """End `run` after the batch that it is at."""
        self._stopped.set()

    def run_once(self) -> Moved:
        """Hand in one batch, the oldest first.

        Raises:
            BrokerError, RateLimitExceeded: the broker takes none now. All rows are still there.
            sqlalchemy.exc.DBAPIError: the database can't be reached, or the table isn't there.
        """
        stopped: Exception | None = None
        done: list[int] = []
        refused: dict[int, str] = {}
        with self._engine.begin() as connection:
            for one in connection.execute(_OLDEST).all():
                try:
                    self._hand_in(one)
                except (BrokerError, RateLimitExceeded) as error:
                    stopped = error  # Raised when the rows that the broker has are gone for good.
                    break
                except (ValueError, TypeError, DecodeError) as error:
                    logger.error("Row %d of the outbox (job %s) can't be handed in: %s", one.id, one.job_id, error)
                    refused[one.id] = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
                else:
                    done.append(one.id)
            if done:
                connection.execute(sql.delete(table).where(table.c.id.in_(done)))
            for row_id, reason in refused.items():
                connection.execute(sql.update(table).where(table.c.id == row_id).values(error=reason))
        if stopped is not None:
            raise stopped
        return Moved(len(done), len(refused))

    def _hand_in(self, one: Any) -> None:
        fields = _encoder.decode(one.message)
        delay = None if one.due_ms is None else max(0, one.due_ms - int(time.time() * 1000))
        self._broker.enqueue(Message(**fields), delay=delay)
