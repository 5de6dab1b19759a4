"""Finding bookings, and telling what is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from .books import Books
from .prices import duration, own_pay
from .record import Booking
from .request import BookingRequest
from .results import Found, TripRow


def known(books: Books, source: str, ref: str | None, wish: tuple[str, datetime, int | None] | None) -> Booking | None:
    """Find the booking that a notice or form is about, where it is known already.

    With a ref the ref decides. Without one, a live booking of the same source, vessel, start and party is the same wish.
    """
    bookings = [b for b in books.bookings() if b.source == source]
    if ref is not None:
        return next((b for b in bookings if b.ref == ref), None)
    if wish is None:
        return None
    vessel, start, party = wish
    same = (b for b in bookings if (b.vessel, b.start) == (vessel, start) and party in (None, b.party))
    return next((b for b in same if b.live and not b.expired(books.now)), None)


def matching(
    books: Books,
    request: BookingRequest,
    *,
    ids: Sequence[str] | None,
    ref: str | None,
    person: str | None,
    day: date | None,
    sender: bool,
    span: tuple[date | None, date | None],
) -> list[Booking]:
    """Find the bookings to which everything that is asked applies."""
    now = books.now
    found = books.bookings()
    if ids is not None:
        found = [b for b in found if b.id in ids]
    if ref is not None:
        found = [b for b in found if b.ref == ref]
    if sender and (request.sender or (ids, ref) == (None, None)):
        # A sender without an address has no bookings of their own, but may name one.
        found = [b for b in found if request.sender and b.contact == request.sender]
    if person is not None:
        # Somebody's trips are those still to sail; a day that was named may lie behind.
        found = [b for b in found if person in b.people and b.status != "cancelled" and not b.expired(now)]
        if day is None and span == (None, None):
            found = [b for b in found if b.end >= now]
    if day is not None:
        found = [b for b in found if b.start.date() <= day <= b.end.date()]
    first, last = span
    return [b for b in found if (first is None or b.end.date() >= first) and (last is None or b.start.date() <= last)]


def row(books: Books, booking: Booking) -> TripRow:
    """Tell what the operator sees of one booking among several."""
    facts = books.world.vessels[booking.vessel]
    return TripRow(
        booking_id=booking.id,
        ref=booking.ref,
        vessel=booking.vessel,
        start=booking.start,
        end=booking.end,
        status=status(books, booking),
        party_size=booking.party,
        captain=booking.captain,
        crew=booking.crew,
        crewed=len(booking.crew) >= facts.crew and (booking.captain is not None or not facts.captains),
    )


def status(books: Books, booking: Booking) -> str:
    """Give the status, `expired` for a hold that ran out."""
    return "expired" if booking.expired(books.now) else booking.status


def found(books: Books, bookings: Sequence[Booking], person: str | None) -> Found:
    """Tell what is known: of one booking, or of the first that a person sails, in full; of several a row each."""
    rows = tuple(row(books, booking) for booking in bookings)
    if not bookings or (len(bookings) > 1 and person is None):
        return Found(found=bool(bookings), rows=rows)
    booking = bookings[0]
    hours = duration(booking.start, booking.end)
    return Found(
        found=True,
        rows=rows,
        booking_id=booking.id,
        vessel=booking.vessel,
        start=booking.start,
        end=booking.end,
        call_time=booking.start - books.world.call_time,
        party_size=booking.party,
        status=status(books, booking),
        source=booking.source,
        ref=booking.ref,
        kind=booking.kind,
        notes=books.notes(booking.id),
        total=booking.total,
        paid=None if booking.market else booking.paid,
        balance=booking.balance,
        balance_due=booking.due(books.world.policies.balance_days),
        hold_expires=booking.hold_expires,
        gross_revenue=booking.revenue,
        captain=booking.captain,
        crew=booking.crew,
        own_pay=own_pay(books.world, person, hours) if person else None,
    )
