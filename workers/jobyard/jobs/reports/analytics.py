"""The analytics report: visits of the web shop in a period, how far they went, and every visit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, distinct, func, select

from jobyard.jobs.reports.access import Requester
from jobyard.jobs.reports.period import Period
from jobyard.jobs.reports.query import MOST_NAMES, incomplete_note, over_period, share, stream, with_others
from jobyard.jobs.reports.report import Chart, Column, KeyFigure, Kind, Report, Section
from jobyard.jobs.reports.tables import regions, sessions
from jobyard.jobs.reports.truncate import FirstDay

COLUMNS: Final = (
    Column("Session", Kind.ID),
    Column("Started (UTC)", Kind.TIME),
    Column("Visitor", Kind.ID),
    Column("Region", Kind.TEXT),
    Column("Channel", Kind.TEXT),
    Column("Device", Kind.TEXT),
    Column("Pages", Kind.COUNT),
    Column("Duration", Kind.SECONDS),
    Column("Furthest step", Kind.TEXT),
)
STEPS: Final = ("Visited", "Saw a product", "Filled the cart", "Began to check out", "Bought")
_BOUGHT: Final = len(STEPS) - 1

_VISITS = sessions.join(regions, sessions.c.region_id == regions.c.id)
_PURCHASES = func.count().filter(sessions.c.furthest_step >= _BOUGHT)


def analytics_report(
    connection: Connection, period: Period, requester: Requester, created: datetime, currency: str
) -> Report:
    """The report; its rows are fetched from `connection` when it is written."""
    seen = _seen(period, requester)
    totals = connection.execute(totals_query(seen)).one()

    def rows(limit: int | None) -> Iterator[Row[Any]]:
        return stream(connection, rows_query(seen), limit)

    count = int(totals.sessions)
    report = Report("Analytics report", "sessions", period, requester, created, currency, COLUMNS, count, rows)
    if not count:
        first, last = connection.execute(
            select(func.min(sessions.c.started_at), func.max(sessions.c.started_at))
            .select_from(_VISITS)
            .where(requester.may_see(regions.c.id))
        ).one()
        return report.empty(first, last)
    before = connection.execute(totals_query(_seen(period.before(), requester))).one()
    report.figures.extend(_figures(totals, before if before.sessions else None))
    report.sections.extend(_sections(connection, period, requester, seen, totals))
    return report


def _seen(period: Period, requester: Requester) -> ColumnElement[bool]:
    return and_(
        sessions.c.started_at >= period.begins, sessions.c.started_at < period.ends, requester.may_see(regions.c.id)
    )


def totals_query(seen: ColumnElement[bool]) -> Select[Any]:
    """One row with the totals of all sessions that meet `seen`; `step_1` … count those that got there or further."""
    steps = (
        func.count().filter(sessions.c.furthest_step >= step).label(f"step_{step}") for step in range(1, len(STEPS))
    )
    return (
        select(
            func.count().label("sessions"),
            func.count(distinct(sessions.c.visitor_id)).label("visitors"),
            func.coalesce(func.sum(sessions.c.page_views), 0).label("pages"),
            func.coalesce(func.sum(sessions.c.seconds), 0).label("seconds"),
            func.count().filter(sessions.c.page_views <= 1).label("bounces"),
            *steps,
        )
        .select_from(_VISITS)
        .where(seen)
    )


def over_time_query(seen: ColumnElement[bool], period: Period) -> Select[Any]:
    """Sessions, different visitors and purchases of every unit of the period in which there are any."""
    unit = FirstDay(period.unit, sessions.c.started_at).label("unit")
    return (
        select(unit, func.count(), func.count(distinct(sessions.c.visitor_id)), _PURCHASES)
        .select_from(_VISITS)
        .where(seen)
        .group_by(unit)
        .order_by(unit)
    )


def by_query(seen: ColumnElement[bool], by: ColumnElement[Any], limit: int | None = None) -> Select[Any]:
    """Sessions and purchases by the column `by`, the most sessions first."""
    count = func.count().label("sessions")
    return (
        select(by, count, _PURCHASES)
        .select_from(_VISITS)
        .where(seen)
        .group_by(by)
        .order_by(count.desc(), by)
        .limit(limit)
    )


def rows_query(seen: ColumnElement[bool]) -> Select[Any]:
    """All sessions, in the order of `COLUMNS`, oldest first."""
    step = case(dict(enumerate(STEPS)), value=sessions.c.furthest_step, else_="Unknown")
    return (
        select(
            sessions.c.id,
            sessions.c.started_at,
            sessions.c.visitor_id,
            regions.c.name,
            sessions.c.channel,
            sessions.c.device,
            sessions.c.page_views,
            sessions.c.seconds,
            step,
        )
        .select_from(_VISITS)
        .where(seen)
        .order_by(sessions.c.started_at, sessions.c.id)
    )


def _figures(now: Row[Any], before: Row[Any] | None) -> list[KeyFigure]:
    def figures(totals: Row[Any]) -> dict[str, float]:
        return {
            "Sessions": int(totals.sessions),
            "Visitors": int(totals.visitors),
            "Pages a session": share(totals.pages, totals.sessions),
            "Session duration": share(totals.seconds, totals.sessions),
            "Conversion": share(totals[-1], totals.sessions),
            "Left at once": share(totals.bounces, totals.sessions),
        }

    kinds = {
        "Pages a session": Kind.RATIO,
        "Session duration": Kind.SECONDS,
        "Conversion": Kind.SHARE,
        "Left at once": Kind.SHARE,
    }
    old = figures(before) if before is not None else {}
    return [
        KeyFigure(label, kinds.get(label, Kind.COUNT), value, old.get(label), more_is_better=label != "Left at once")
        for label, value in figures(now).items()
    ]


def _sections(
    connection: Connection, period: Period, requester: Requester, seen: ColumnElement[bool], totals: Row[Any]
) -> Iterator[Section]:
    counts = (Column("Sessions", Kind.COUNT), Column("Purchases", Kind.COUNT), Column("Conversion", Kind.SHARE))

    def by(title: str, label: str, column: ColumnElement[Any]) -> Section:
        found = connection.execute(by_query(seen, column, limit=MOST_NAMES + 1)).all()
        sums = with_others([tuple(row) for row in found], (totals.sessions, totals[-1]))
        rows = [(name, visits, bought, share(bought, visits)) for name, visits, bought in sums]
        return Section(title, Chart.BARS, (Column(label, Kind.TEXT), *counts), rows)

    yield Section(
        f"Sessions and visitors by {period.unit}",
        Chart.OVER_TIME,
        (
            Column(str(period.unit).capitalize(), Kind.DATE),
            Column("Sessions", Kind.COUNT),
            Column("Visitors", Kind.COUNT),
            Column("Purchases", Kind.COUNT),
        ),
        over_period(period, connection.execute(over_time_query(seen, period)).all(), 3),
        plotted=(1, 2),
        note=incomplete_note(period),
    )
    reached = [int(totals.sessions), *(int(totals._mapping[f"step_{step}"]) for step in range(1, len(STEPS)))]
    yield Section(
        "From visit to purchase",
        Chart.FUNNEL,
        (Column("Step", Kind.TEXT), Column("Sessions", Kind.COUNT), Column("Went on", Kind.SHARE)),
        [
            (step, count, share(count, reached[max(0, number - 1)]))
            for number, (step, count) in enumerate(zip(STEPS, reached, strict=True))
        ],
    )
    yield by("Sessions by channel", "Channel", sessions.c.channel)
    yield by("Sessions by device", "Device", sessions.c.device)
    if requester.region_id is None:
        yield by("Sessions by region", "Region", regions.c.name)
