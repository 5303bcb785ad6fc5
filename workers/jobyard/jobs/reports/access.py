"""Who asks for a report, and which part of the data that user may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, select, true

from jobyard.errors import PermanentError
from jobyard.jobs.reports.tables import regions, users

SEE_EVERYTHING: Final = frozenset({"admin", "analyst"})
SEE_THEIR_REGION: Final = frozenset({"manager"})


@dataclass(frozen=True, slots=True)
class Requester:
    """A user who may have a report.

    Attributes:
        user_id, name, role: of the user.
        region_id: the only region whose data this user may see; None: all.
        region: its name.
    """

    user_id: str
    name: str
    role: str
    region_id: int | None = None
    region: str | None = None

    @property
    def scope(self) -> str:
        """What the report shows, in words, for its header."""
        return "All regions" if self.region_id is None else f"Region {self.region} only"

    def may_see(self, region_id: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that keeps a query to what this user may see. Every query of a report carries it."""
        return true() if self.region_id is None else region_id == self.region_id


def requester(connection: Connection, user_id: str) -> Requester:
    """The user with this id.

    Raises:
        PermanentError: there is no such user, or this one may see no report.
    """
    found = connection.execute(
        select(users.c.name, users.c.role, users.c.region_id, users.c.active, regions.c.name.label("region"))
        .select_from(users.outerjoin(regions, users.c.region_id == regions.c.id))
        .where(users.c.id == user_id)
    ).one_or_none()
    if found is None:
        raise PermanentError(f"no report: there is no user with the id {user_id!r}")
    if not found.active:
        raise PermanentError(f"no report: user {user_id!r} is not active")
    if found.role in SEE_EVERYTHING:
        return Requester(user_id, found.name, found.role)
    if found.role not in SEE_THEIR_REGION:
        allowed = ", ".join(sorted(SEE_EVERYTHING | SEE_THEIR_REGION))
        raise PermanentError(f"no report: user {user_id!r} has the role {found.role!r}; reports are for: {allowed}")
    if found.region_id is None:
        raise PermanentError(f"no report: user {user_id!r} is a manager without a region")
    return Requester(user_id, found.name, found.role, int(found.region_id), found.region)
