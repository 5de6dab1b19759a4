"""A booking as the company's store keeps it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from .money import ZERO, from_store, money, to_store
from .slots import Slot
from .wire import local, minute

_LIVE = ("tentative", "confirmed")


@dataclass(frozen=True, slots=True)
class Booking:
    """One booking. Marketplace bookings have a gross and no total: their money moves elsewhere."""

    id: str
    vessel: str
    start: datetime
    end: datetime
    source: str
    party: int
    status: str
    ref: str | None = None
    kind: str | None = None
    total: Decimal | None = None
    gross: Decimal | None = None
    paid: Decimal = ZERO
    claimed_paid: Decimal | None = None
    paid_via: str | None = None
    balance_due: date | None = None
    hold_expires: datetime | None = None
    captain: str | None = None
    crew: tuple[str, ...] = ()
    contact: str | None = None
    adults: int | None = None
    minors: tuple[int, ...] = ()
    cancelled_by: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def slot(self) -> Slot:
        """The time it takes of its vessel."""
        return Slot(self.vessel, self.start, self.end)

    @property
    def market(self) -> bool:
        """Whether it came from a marketplace."""
        return self.source.startswith("marketplace")

    @property
    def live(self) -> bool:
        """Whether it is still to be sailed."""
        return self.status in _LIVE

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody assigned, captain first."""
        return (*((self.captain,) if self.captain else ()), *self.crew)

    @property
    def balance(self) -> Decimal | None:
        """What is still to be paid to us; nothing is, where a marketplace collects."""
        return None if self.market or self.total is None else max(ZERO, self.total - self.paid)

    @property
    def revenue(self) -> Decimal | None:
        """What it brings in."""
        return self.gross if self.gross is not None else self.total

    def expired(self, now: datetime) -> bool:
        """Whether it was only held, and the hold ran out."""
        return self.status == "tentative" and self.hold_expires is not None and self.hold_expires <= now

    def due(self, days_before: int) -> date | None:
        """When the balance is due: as agreed, or so many days before the trip."""
        return None if self.market else self.balance_due or self.start.date() - timedelta(days=days_before)


_FIXTURE = {
    *(
        "vessel",
        "start",
        "end",
        "source",
        "party",
        "status",
        "ref",
        "kind",
        "total",
        "gross",
        "paid",
        "claimed_paid",
        "paid_via",
    ),
    *("balance_due", "hold_expires", "captain", "crew", "contact", "adults", "minors"),
}


def from_fixture(booking_id: str, given: Mapping[str, Any]) -> Booking:
    """Read a booking of world.json. Fields the store has no column for are kept aside."""

    def amount(name: str) -> Decimal | None:
        return None if given.get(name) is None else money(given[name])

    minors: list[Any] = given.get("minors") or []
    return Booking(
        id=booking_id,
        vessel=given["vessel"],
        start=local(given["start"]),
        end=local(given["end"]),
        source=given.get("source", "direct"),
        party=given["party"],
        status=given.get("status", "tentative"),
        ref=given.get("ref"),
        kind=given.get("kind"),
        total=amount("total"),
        gross=amount("gross"),
        paid=amount("paid") or ZERO,
        claimed_paid=amount("claimed_paid"),
        paid_via=given.get("paid_via"),
        balance_due=date.fromisoformat(given["balance_due"]) if given.get("balance_due") else None,
        hold_expires=local(given["hold_expires"]) if given.get("hold_expires") else None,
        captain=given.get("captain"),
        crew=tuple(given.get("crew") or ()),
        contact=given.get("contact"),
        adults=given.get("adults"),
        minors=tuple(
            cast("Mapping[str, int]", minor)["age"] if isinstance(minor, Mapping) else int(minor) for minor in minors
        ),
        extra={name: value for name, value in given.items() if name not in _FIXTURE},
    )


def to_row(booking: Booking) -> dict[str, Any]:
    """Write a booking as columns."""
    return {
        "id": booking.id,
        "vessel": booking.vessel,
        "start": minute(booking.start),
        "finish": minute(booking.end),
        "source": booking.source,
        "ref": booking.ref,
        "kind": booking.kind,
        "party": booking.party,
        "status": booking.status,
        "total": to_store(booking.total),
        "gross": to_store(booking.gross),
        "paid": to_store(booking.paid),
        "claimed_paid": to_store(booking.claimed_paid),
        "paid_via": booking.paid_via,
        "balance_due": booking.balance_due.isoformat() if booking.balance_due else None,
        "hold_expires": minute(booking.hold_expires) if booking.hold_expires else None,
        "captain": booking.captain,
        "crew": json.dumps(booking.crew),
        "contact": booking.contact,
        "adults": booking.adults,
        "minors": json.dumps(booking.minors),
        "cancelled_by": booking.cancelled_by,
        "extra": json.dumps(booking.extra),
    }


def from_row(row: sqlite3.Row) -> Booking:
    """Read a booking from columns."""
    return Booking(
        id=row["id"],
        vessel=row["vessel"],
        start=local(row["start"]),
        end=local(row["finish"]),
        source=row["source"],
        party=row["party"],
        status=row["status"],
        ref=row["ref"],
        kind=row["kind"],
        total=from_store(row["total"]),
        gross=from_store(row["gross"]),
        paid=from_store(row["paid"]) or ZERO,
        claimed_paid=from_store(row["claimed_paid"]),
        paid_via=row["paid_via"],
        balance_due=date.fromisoformat(row["balance_due"]) if row["balance_due"] else None,
        hold_expires=local(row["hold_expires"]) if row["hold_expires"] else None,
        captain=row["captain"],
        crew=tuple(json.loads(row["crew"])),
        contact=row["contact"],
        adults=row["adults"],
        minors=tuple(json.loads(row["minors"])),
        cancelled_by=row["cancelled_by"],
        extra=json.loads(row["extra"]),
    )


def shown(booking: Booking) -> dict[str, Any]:
    """Write a booking with the field names of world.json, for comparison with it."""
    row = to_row(booking)
    amounts = {name: getattr(booking, name) for name in ("total", "gross", "paid", "claimed_paid")}
    return {
        **{name: row[name] for name in row if name not in ("finish", "extra")},
        **{name: None if amount is None else float(amount) for name, amount in amounts.items()},
        "end": row["finish"],
        "crew": list(booking.crew),
        "minors": list(booking.minors),
        **booking.extra,
    }
