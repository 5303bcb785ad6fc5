"""The sales report: revenue and orders of a period, and every order in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, distinct, func, select

from jobyard.jobs.reports.access import Requester
from jobyard.jobs.reports.period import Period
from jobyard.jobs.reports.query import MOST_NAMES, incomplete_note, over_period, share, stream, with_others
from jobyard.jobs.reports.report import Chart, Column, KeyFigure, Kind, Report, Section
from jobyard.jobs.reports.tables import customers, orders, products, regions
from jobyard.jobs.reports.truncate import FirstDay

COLUMNS: Final = (
    Column("Order", Kind.ID),
    Column("Placed (UTC)", Kind.TIME),
    Column("Region", Kind.TEXT),
    Column("Customer", Kind.TEXT),
    Column("Product", Kind.TEXT),
    Column("Category", Kind.TEXT),
    Column("Channel", Kind.TEXT),
    Column("Quantity", Kind.COUNT),
    Column("Unit price", Kind.MONEY),
    Column("Total", Kind.MONEY),
    Column("Status", Kind.TEXT),
)
TOP: Final = 10

_PAID = orders.c.status == "paid"
_SOLD = (
    orders.join(customers, orders.c.customer_id == customers.c.id)
    .join(regions, customers.c.region_id == regions.c.id)
    .join(products, orders.c.product_id == products.c.id)
)
_REVENUE = func.coalesce(func.sum(orders.c.total), 0)


def sales_report(
    connection: Connection, period: Period, requester: Requester, created: datetime, currency: str
) -> Report:
    """The report; its rows are fetched from `connection` when it is written."""
    seen = _seen(period, requester)
    totals = connection.execute(totals_query(seen)).one()

    def rows(limit: int | None) -> Iterator[Row[Any]]:
        return stream(connection, rows_query(seen), limit)

    report = Report("Sales report", "orders", period, requester, created, currency, COLUMNS, int(totals.orders), rows)
    if not totals.orders:
        first, last = connection.execute(
            select(func.min(orders.c.placed_at), func.max(orders.c.placed_at))
            .select_from(_SOLD)
            .where(requester.may_see(regions.c.id))
        ).one()
        return report.empty(first, last)
    before = connection.execute(totals_query(_seen(period.before(), requester))).one()
    report.figures.extend(_figures(totals, before if before.orders else None))
    report.sections.extend(_sections(connection, period, requester, seen, totals))
    return report


def _seen(period: Period, requester: Requester) -> ColumnElement[bool]:
    return and_(orders.c.placed_at >= period.begins, orders.c.placed_at < period.ends, requester.may_see(regions.c.id))


def totals_query(seen: ColumnElement[bool]) -> Select[Any]:
    """One row with the totals of all orders that meet `seen`."""
    return (
        select(
            func.count().label("orders"),
            func.count().filter(_PAID).label("paid"),
            func.count().filter(orders.c.status == "refunded").label("refunded"),
            func.coalesce(func.sum(orders.c.total).filter(_PAID), 0).label("revenue"),
            func.coalesce(func.sum(orders.c.quantity).filter(_PAID), 0).label("units"),
            func.count(distinct(orders.c.customer_id)).filter(_PAID).label("customers"),
        )
        .select_from(_SOLD)
        .where(seen)
    )


def over_time_query(seen: ColumnElement[bool], period: Period) -> Select[Any]:
    """Revenue and paid orders of every unit of the period in which there are any."""
    unit = FirstDay(period.unit, orders.c.placed_at).label("unit")
    return select(unit, _REVENUE, func.count()).select_from(_SOLD).where(seen, _PAID).group_by(unit).order_by(unit)


def top_query(seen: ColumnElement[bool], *by: ColumnElement[Any], limit: int | None = None) -> Select[Any]:
    """Revenue and paid orders by the columns `by`, the most revenue first."""
    revenue = _REVENUE.label("revenue")
    return (
        select(*by, revenue, func.count().label("orders"))
        .select_from(_SOLD)
        .where(seen, _PAID)
        .group_by(*by)
        .order_by(revenue.desc(), *by)
        .limit(limit)
    )


def rows_query(seen: ColumnElement[bool]) -> Select[Any]:
    """All orders, in the order of `COLUMNS`, oldest first."""
    return (
        select(
            orders.c.id,
            orders.c.placed_at,
            regions.c.name,
            customers.c.name,
            products.c.name,
            products.c.category,
            orders.c.channel,
            orders.c.quantity,
            orders.c.unit_price,
            orders.c.total,
            orders.c.status,
        )
        .select_from(_SOLD)
        .where(seen)
        .order_by(orders.c.placed_at, orders.c.id)
    )


def _figures(now: Row[Any], before: Row[Any] | None) -> list[KeyFigure]:
    def figures(totals: Row[Any]) -> dict[str, float]:
        return {
            "Revenue": int(totals.revenue),
            "Paid orders": int(totals.paid),
            "Average order": round(share(totals.revenue, totals.paid)),
            "Units sold": int(totals.units),
            "Customers": int(totals.customers),
            "Refunded": share(totals.refunded, totals.paid + totals.refunded),
        }

    kinds = {"Revenue": Kind.MONEY, "Average order": Kind.MONEY, "Refunded": Kind.SHARE}
    old = figures(before) if before is not None else {}
    return [
        KeyFigure(label, kinds.get(label, Kind.COUNT), value, old.get(label), more_is_better=label != "Refunded")
        for label, value in figures(now).items()
    ]


def _sections(
    connection: Connection, period: Period, requester: Requester, seen: ColumnElement[bool], totals: Row[Any]
) -> Iterator[Section]:
    money = (Column("Revenue", Kind.MONEY), Column("Paid orders", Kind.COUNT))

    def by(title: str, label: str, column: ColumnElement[Any]) -> Section:
        found = connection.execute(top_query(seen, column, limit=MOST_NAMES + 1)).all()
        rows = with_others([tuple(row) for row in found], (totals.revenue, totals.paid))
        return Section(title, Chart.BARS, (Column(label, Kind.TEXT), *money), rows)

    def top(title: str, label: str, key: ColumnElement[Any], name: ColumnElement[Any]) -> Section:
        # Grouped by the key as well, since two customers may have the same name; it is not shown.
        found = connection.execute(top_query(seen, key, name, limit=TOP)).all()
        rows = with_others([tuple(row)[1:] for row in found], ())
        return Section(title, Chart.BARS, (Column(label, Kind.TEXT), *money), rows)

    yield Section(
        f"Revenue by {period.unit}",
        Chart.OVER_TIME,
        (Column(str(period.unit).capitalize(), Kind.DATE), *money),
        over_period(period, connection.execute(over_time_query(seen, period)).all(), 2),
        note=incomplete_note(period),
    )
    if requester.region_id is None:
        yield by("Revenue by region", "Region", regions.c.name)
    yield by("Revenue by category", "Category", products.c.category)
    yield top("Top products", "Product", products.c.id, products.c.name)
    yield top("Top customers", "Customer", customers.c.id, customers.c.name)
