"""The sample business: an outdoor-gear maker that sells on the web, in stores and through partners in five regions.

Two calendar years, 2024 and 2025; the same on every machine, since all of it comes from one seed. It exists so that
reports show something worth looking at before they are pointed at a real database.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from jobyard.jobs.reports.tables import metadata

VERSION: Final = 1
"""Raise it whenever tables or data change: an older file is then replaced."""

SEED: Final = 20240101
FIRST_DAY: Final = date(2024, 1, 1)
LAST_DAY: Final = date(2025, 12, 31)

REGIONS: Final = {
    # name: (share of customers, growth over the two years, cities)
    "Nordics": (0.27, 0.35, ("Bergen", "Malmö", "Tromsø", "Turku", "Aarhus", "Umeå", "Reykjavík")),
    "Central Europe": (0.31, 0.55, ("Zürich", "Innsbruck", "Köln", "Brno", "München", "Kraków", "Graz")),
    "British Isles": (0.17, 0.10, ("Leeds", "Cork", "Inverness", "Cardiff", "Bristol", "Galway")),
    "Southern Europe": (0.15, 0.80, ("Málaga", "Torino", "Porto", "Bilbao", "Ljubljana", "Lleida")),
    "Benelux": (0.10, 0.25, ("Utrecht", "Liège", "Ghent", "Maastricht", "Luxembourg")),
}
_CITIES: Final = tuple(city for _, _, cities in REGIONS.values() for city in cities)
_PEOPLE: Final = (
    # id, name, role, region, active
    ("1", "Astrid Holm", "admin", None, 1),
    ("2", "Jonas Weber", "analyst", None, 1),
    ("3", "Ingrid Sørensen", "manager", 1, 1),
    ("4", "Matthias Gruber", "manager", 2, 1),
    ("5", "Fiona Gallagher", "manager", 3, 1),
    ("6", "Lucía Fernández", "manager", 4, 1),
    ("7", "Pieter de Vries", "manager", 5, 1),
    ("8", "Tom Becker", "support", None, 1),
    ("9", "Clara Nowak", "analyst", None, 0),
)
_PRODUCTS: Final = {
    # category: ((name, price in hundredths, relative demand), …)
    "Tents": (
        ("Fjell 2 tent", 38900, 7),
        ("Fjell 3 tent", 46900, 5),
        ("Basecamp 5 tent", 72900, 2),
        ("Bivvy Light", 18900, 3),
    ),
    "Sleeping bags": (
        ("Aurora −5 sleeping bag", 22900, 7),
        ("Aurora −15 sleeping bag", 31900, 4),
        ("Summer quilt", 12900, 5),
        ("Trail mat", 7900, 9),
    ),
    "Backpacks": (
        ("Ridge 28 daypack", 10900, 12),
        ("Ridge 45 pack", 16900, 9),
        ("Summit 65 pack", 23900, 5),
        ("City roll-top", 8900, 10),
    ),
    "Jackets": (
        ("Storm shell", 27900, 9),
        ("Down sweater", 21900, 10),
        ("Wind vest", 8900, 6),
        ("Rain cape", 6900, 5),
    ),
    "Footwear": (
        ("Scree GTX boot", 21900, 8),
        ("Path low shoe", 13900, 11),
        ("Camp clog", 4900, 6),
        ("Merino socks, 3 pairs", 3900, 14),
    ),
    "Cooking": (
        ("Ember stove", 8900, 7),
        ("Titan pot set", 6900, 5),
        ("Steel flask 0.75 l", 3400, 13),
        ("Gas canister, 6 pack", 4200, 10),
    ),
}
_SHOP_WORDS: Final = ("Outfitters", "Outdoor", "Trail & Camp", "Sports", "Supply", "Gear Co-op")
_SHOP_NAMES: Final = ("Polaris", "Greenvale", "Blue Lake", "Ridgeway", "Red Kite", "Lone Pine", "Edelweiss", "Tarn")
_FIRST_NAMES: Final = (
    *("Anna", "Björn", "Chiara", "Dylan", "Elif", "Françoise", "Greta", "Hugo", "Inês", "Jan", "Kaja", "Lars"),
    *("Maëlle", "Niall", "Oskar", "Paula", "Renske", "Signe", "Tomáš"),
)
_LAST_NAMES: Final = (
    *("Andersson", "Müller", "Rossi", "Murphy", "García", "Jansen", "Lindqvist", "O’Brien", "Peeters", "Hansen"),
    *("Keller", "Moreau", "Novák", "Virtanen", "Łukasik"),
)

_ORDER_CHANNELS: Final = {"store": 0.52, "partner": 0.31, "web": 0.17}
_VISIT_CHANNELS: Final = {
    # name: (share of visits, tendency to go on at every step)
    "search": (0.38, 1.00),
    "direct": (0.22, 1.15),
    "e-mail": (0.12, 1.35),
    "social": (0.17, 0.70),
    "affiliate": (0.11, 0.90),
}
_DEVICES: Final = {"phone": (0.55, 0.85), "desktop": (0.36, 1.20), "tablet": (0.09, 1.00)}

_ORDERS_A_DAY: Final = 59
_UNBOUGHT_VISITS_A_DAY: Final = 190
# A day's hours by how much is bought in them, night to night.
_HOURS: Final = (1, 1, 0, 0, 0, 1, 2, 4, 7, 9, 10, 10, 11, 9, 8, 8, 9, 10, 11, 12, 12, 10, 6, 3)
_WEEKDAYS: Final = (0.95, 0.90, 0.92, 0.98, 1.12, 1.25, 0.88)

Row = tuple[int | str | None, ...]
_SQLITE: Final = create_engine("sqlite://").dialect


def fill(connection: sqlite3.Connection) -> None:
    """Create and fill the tables in an empty database. The last act sets `user_version`, the mark of a full one."""
    rng = Random(SEED)
    for table in metadata.sorted_tables:
        connection.execute(str(CreateTable(table).compile(dialect=_SQLITE)))

    regions = tuple(REGIONS)
    _insert(connection, "regions", ((number, name) for number, name in enumerate(regions, 1)))
    _insert(connection, "users", iter(_PEOPLE))
    products = [(name, category, price) for category, rows in _PRODUCTS.items() for name, price, _ in rows]
    _insert(connection, "products", ((number, *product[:2]) for number, product in enumerate(products, 1)))
    customers = _customers(rng)
    _insert(connection, "customers", iter(customers))
    orders = list(_orders(rng, customers, [price for _, _, price in products]))
    _insert(connection, "orders", iter(orders))
    _insert(connection, "sessions", _sessions(rng, orders, {int(row[0] or 0): int(row[2] or 0) for row in customers}))

    # After the rows: one sorted build is several times faster than keeping an index up to date.
    for table in metadata.sorted_tables:
        for index in table.indexes:
            connection.execute(str(CreateIndex(index).compile(dialect=_SQLITE)))
    connection.execute("ANALYZE")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.commit()


def _insert(connection: sqlite3.Connection, table: str, rows: Iterator[Row]) -> None:
    connection.executemany(str(metadata.tables[table].insert().compile(dialect=_SQLITE)), rows)


def _customers(rng: Random) -> list[Row]:
    rows: list[Row] = []
    for region, (share, _, cities) in enumerate(REGIONS.values(), 1):
        for _ in range(round(700 * share)):
            if rng.random() < 0.35:
                name = f"{rng.choice(_SHOP_NAMES)} {rng.choice(_SHOP_WORDS)} {rng.choice(cities)}"
            else:
                name = f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}"
            rows.append((len(rows) + 1, name, region))
    return rows


def _demand(day: date) -> float:
    """How busy a day is: about 1 on average. Peaks before summer, at the end of November and in December."""
    of_year = day.timetuple().tm_yday
    season = 1 + 0.28 * math.exp(-(((of_year - 160) / 38) ** 2)) + 0.55 * math.exp(-(((of_year - 345) / 16) ** 2))
    black_friday = 1.9 if day.month == 11 and day.weekday() == 4 and 23 <= day.day <= 29 else 1.0
    return 0.88 * season * black_friday * _WEEKDAYS[day.weekday()]


def _progress(day: date) -> float:
    """From 0 on the first day to 1 on the last."""
    return (day - FIRST_DAY).days / (LAST_DAY - FIRST_DAY).days


def _days() -> Iterator[date]:
    for number in range((LAST_DAY - FIRST_DAY).days + 1):
        yield FIRST_DAY + timedelta(days=number)


def _times(rng: Random, day: date, count: int) -> list[str]:
    hours = rng.choices(range(24), weights=_HOURS, k=count)
    return sorted(f"{day} {hour:02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}" for hour in hours)


def _orders(rng: Random, customers: list[Row], prices: list[int]) -> Iterator[Row]:
    shops = {row[0] for row in customers if str(row[1]).endswith(_CITIES)}
    by_region: list[tuple[list[int], list[float]]] = []
    for region in range(1, len(REGIONS) + 1):
        ids = [int(row[0] or 0) for row in customers if row[2] == region]
        # Shops buy more than people, and a few of them much more.
        appetites = (rng.paretovariate(2.5) * (6 if number in shops else 1) for number in ids)
        by_region.append((ids, list(accumulate(appetites))))
    popularity = list(accumulate(weight for rows in _PRODUCTS.values() for _, _, weight in rows))
    channels, channel_shares = list(_ORDER_CHANNELS), list(accumulate(_ORDER_CHANNELS.values()))
    number = 0
    for day in _days():
        gone = _progress(day)
        shares = [share * (1 + growth * gone) for share, growth, _ in REGIONS.values()]
        expected = _ORDERS_A_DAY * _demand(day) * sum(shares)
        count = max(0, round(rng.gauss(expected, math.sqrt(expected))))
        regions = rng.choices(range(len(shares)), weights=shares, k=count)
        bought = rng.choices(range(len(prices)), cum_weights=popularity, k=count)
        sold_by = rng.choices(channels, cum_weights=channel_shares, k=count)
        quantities = rng.choices((1, 2, 3, 4, 6, 10), weights=(55, 22, 9, 6, 5, 3), k=count)
        for placed_at, region, product, channel, quantity in zip(
            _times(rng, day, count), regions, bought, sold_by, quantities, strict=True
        ):
            number += 1
            ids, weights = by_region[region]
            customer = rng.choices(ids, cum_weights=weights)[0]
            price = prices[product]
            total = price * quantity * (82 if channel == "partner" else 100) // 100
            status = "refunded" if rng.random() < (0.07 if channel == "web" else 0.025) else "paid"
            yield number, placed_at, customer, product + 1, channel, quantity, price, total, status


def _sessions(rng: Random, orders: list[Row], region_of: dict[int, int]) -> Iterator[Row]:
    """Every order on the web was a visit that went all the way; most visits end earlier."""
    bought: dict[str, list[tuple[str, int, int]]] = {}
    for _, placed_at, customer, _, channel, *_ in orders:
        if channel == "web":
            at = str(placed_at)
            bought.setdefault(at[:10], []).append((at, int(customer or 0), region_of[int(customer or 0)]))
    names = list(_VISIT_CHANNELS)
    shares = list(accumulate(share for share, _ in _VISIT_CHANNELS.values()))
    # Those who buy come more often by the channels, and on the devices, on which visits go further.
    buyer_shares = list(accumulate(share * zeal**3 for share, zeal in _VISIT_CHANNELS.values()))
    devices = list(_DEVICES)
    buyer_devices = [share * zeal**3 for share, zeal in _DEVICES.values()]
    region_shares = list(accumulate(share for share, _, _ in REGIONS.values()))
    number = 0
    visitor = 100_000
    for day in _days():
        gone = _progress(day)
        expected = _UNBOUGHT_VISITS_A_DAY * _demand(day) * (1 + 0.5 * gone)
        count = max(0, round(rng.gauss(expected, math.sqrt(expected))))
        phones = _DEVICES["phone"][0] + 0.12 * gone
        device_shares = (phones, 0.91 - phones, 0.09)
        visits: list[tuple[str, int, int, str, str, int]] = []
        for at, region, channel, device in zip(
            _times(rng, day, count),
            rng.choices(range(1, len(REGIONS) + 1), cum_weights=region_shares, k=count),
            rng.choices(names, cum_weights=shares, k=count),
            rng.choices(devices, weights=device_shares, k=count),
            strict=True,
        ):
            zeal = _VISIT_CHANNELS[channel][1] * _DEVICES[device][1]
            step = 0
            for chance in (0.55, 0.24, 0.40):
                if rng.random() > chance * zeal:
                    break
                step += 1
            # A third of the visits are by somebody who has been here lately.
            if rng.random() < 0.35:
                who = visitor - rng.randrange(min(3000, visitor - 99_999))
            else:
                visitor += 1
                who = visitor
            visits.append((at, who, region, channel, device, step))
        for at, customer, region in bought.get(day.isoformat(), ()):
            channel = rng.choices(names, cum_weights=buyer_shares)[0]
            device = rng.choices(devices, weights=buyer_devices)[0]
            visits.append((at, customer, region, channel, device, 4))
        visits.sort()
        for at, who, region, channel, device, step in visits:
            number += 1
            pages = 1 + 2 * step + (rng.randrange(6) if step or rng.random() < 0.4 else 0)
            yield number, at, who, region, channel, device, pages, 12 + pages * rng.randrange(10, 70), step
