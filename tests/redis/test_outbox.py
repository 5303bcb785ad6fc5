"""The outbox on SQLite and PostgreSQL: a job for each committed transaction, none for the others, whoever dies when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from dramatiq import Broker, Message
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from jobyard import outbox
from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.policy import QueuePolicy
from jobyard.errors import RateLimitExceeded
from support.hand import message
from support.postgresql import postgresql
from support.waiting import eventually


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with postgresql() as url:
        yield url.replace("postgresql:", "postgresql+psycopg:")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sql.Engine]:
    url = f"sqlite:///{tmp_path}/app.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    made = sql.create_engine(url, poolclass=NullPool)
    outbox.metadata.create_all(made)
    yield made
    outbox.metadata.drop_all(made)


def rows(engine: sql.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sql.select(sql.func.count()).select_from(outbox.table)) or 0


def test_a_job_is_there_if_the_transaction_is_committed_and_only_then(
    engine: sql.Engine, broker: JobyardBroker
) -> None:
    relay = outbox.Relay(engine, broker)
    with Session(engine) as session:
        kept = outbox.add(session, message("q", 1))
        session.commit()
        outbox.add(session, message("q", 2))
        session.rollback()
    assert relay.run_once() == outbox.Moved(handed_in=1)
    assert [job.id for job in broker.inspector.jobs("q", "waiting")] == [kept]
    assert rows(engine) == 0
    assert relay.run_once() == outbox.Moved()


def test_jobs_keep_their_order_their_options_and_their_delay(engine: sql.Engine, broker: JobyardBroker) -> None:
    with engine.begin() as connection:
        for number in range(5):
            outbox.add(connection, message("q", number, job_id=f"job-{number}", tags=["t"]))
        outbox.add(connection, message("q", 9, job_id="later"), delay=60_000)
    outbox.Relay(engine, broker).run_once()
    waiting = broker.inspector.jobs("q", "waiting")
    assert [(job.id, job.args, job.tags) for job in waiting] == [(f"job-{n}", (n,), ("t",)) for n in range(5)]
    assert [job.id for job in broker.inspector.jobs("q", "delayed")] == ["later"]


class _Dies(Exception):
    pass


class _DyingBroker(Broker):
    """Hands the job in, and is killed before it can say so."""

    def __init__(self, broker: JobyardBroker) -> None:
        super().__init__(middleware=[])
        self._broker = broker

    def enqueue(self, message: Message[object], *, delay: int | None = None) -> Message[object]:
        self._broker.enqueue(message, delay=delay)
        raise _Dies


def test_a_relay_that_dies_between_handing_in_and_deleting_makes_no_second_job(
    engine: sql.Engine, broker: JobyardBroker
) -> None:
    with engine.begin() as connection:
        outbox.add(connection, message("q", 1))
    with pytest.raises(_Dies):
        outbox.Relay(engine, _DyingBroker(broker)).run_once()
    assert rows(engine) == 1
    assert outbox.Relay(engine, broker).run_once() == outbox.Moved(handed_in=1)
    assert broker.inspector.stats("q").counts["accepted"] == 1


def test_what_can_never_be_handed_in_is_kept_with_its_reason_and_stops_nobody(
    engine: sql.Engine, broker: JobyardBroker
) -> None:
    with engine.begin() as connection:
        outbox.add(connection, message("not a queue", 1))
        outbox.add(connection, message("q", 2))
    assert outbox.Relay(engine, broker).run_once() == outbox.Moved(handed_in=1, refused=1)
    with engine.connect() as connection:
        (row,) = connection.execute(sql.select(outbox.table)).all()
    assert "can't be a queue's name" in row.error
    assert outbox.Relay(engine, broker).run_once() == outbox.Moved()


def test_a_queue_that_takes_no_more_keeps_the_rest_waiting(engine: sql.Engine, broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(rate=2, rate_burst=2, rate_period=600_000, rate_mode="reject"))
    with engine.begin() as connection:
        for number in range(4):
            outbox.add(connection, message("q", number))
    with pytest.raises(RateLimitExceeded):
        outbox.Relay(engine, broker).run_once()
    assert rows(engine) == 2
    assert broker.inspector.stats("q").waiting == 2


def test_a_redis_that_is_away_loses_nothing(engine: sql.Engine) -> None:
    with engine.begin() as connection:
        outbox.add(connection, message("q", 1))
    away = JobyardBroker("redis://127.0.0.1:1/0", patience=0)
    with pytest.raises(BrokerUnavailableError):
        outbox.Relay(engine, away).run_once()
    assert rows(engine) == 1


def test_several_relays_at_once_hand_each_job_in_once(engine: sql.Engine, broker: JobyardBroker) -> None:
    with engine.begin() as connection:
        for number in range(500):
            outbox.add(connection, message("q", number))
    relays = [outbox.Relay(engine, broker, interval=0.01) for _ in range(3)]

    def run(relay: outbox.Relay) -> None:
        relay.run()
        broker.close()

    threads = [threading.Thread(target=run, args=(relay,)) for relay in relays]
    for thread in threads:
        thread.start()
    eventually(lambda: rows(engine) == 0, 60, what="the outbox is empty")
    for relay in relays:
        relay.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert broker.inspector.stats("q").counts["accepted"] == 500
