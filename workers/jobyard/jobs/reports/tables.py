"""The tables that reports read: the contract with whoever points Jobyard at a database of their own.

Amounts are integers in hundredths of the currency, times are UTC. A database that keeps its data otherwise offers views
of these names. Reports only ever read.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Index, Integer, MetaData, String, Table
from sqlalchemy.dialects import sqlite

# SQLite keeps times as text and compares them as such. Bounds without a fraction of a second compare rightly with
# stored times that have one and with those that don't; SQLAlchemy's own ".000000" would lose "00:00:00".
_TIMESTAMP = DateTime().with_variant(
    sqlite.DATETIME(  # type: ignore[no-untyped-call] # SQLAlchemy has no types for it
        storage_format="%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d",
    ),
    "sqlite",
)
# Only a plain INTEGER primary key is SQLite's row number, which needs no index of its own.
_ID = BigInteger().with_variant(Integer, "sqlite")

metadata: Final = MetaData()

regions = Table(
    "regions",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(80), nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("role", String(32), nullable=False),  # admin, analyst, manager; any other sees no report
    Column("region_id", ForeignKey("regions.id")),  # the region of a manager
    Column("active", Boolean, nullable=False),
)

products = Table(
    "products",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("category", String(80), nullable=False),
)

customers = Table(
    "customers",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("region_id", ForeignKey("regions.id"), nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("placed_at", _TIMESTAMP, nullable=False),
    Column("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("product_id", ForeignKey("products.id"), nullable=False),
    Column("channel", String(32), nullable=False),  # web, store, partner, …
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BigInteger, nullable=False),  # hundredths
    Column("total", BigInteger, nullable=False),  # hundredths, after discounts
    Column("status", String(16), nullable=False),  # paid counts as revenue; refunded is shown apart
    Index("orders_placed_at", "placed_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("started_at", _TIMESTAMP, nullable=False),
    Column("visitor_id", BigInteger, nullable=False),
    Column("region_id", ForeignKey("regions.id"), nullable=False),
    Column("channel", String(32), nullable=False),  # search, direct, e-mail, …
    Column("device", String(32), nullable=False),
    Column("page_views", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
    # How far the visit went: 0 landed, 1 saw a product, 2 filled the cart, 3 began to check out, 4 bought.
    Column("furthest_step", Integer, nullable=False),
    Index("sessions_started_at", "started_at"),
)
