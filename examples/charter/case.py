"""One call held against its request: who sent it, which bookings it is about, for whom the sender speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import addresses, wording
from .books import Books
from .record import Booking
from .request import BookingRequest
from .slots import Claim

OFFICE = ("operator",)
ABOARD = ("crew", "captain")


@dataclass(frozen=True, slots=True)
class Case:
    """One call, as it is about to be made, and what it is held against."""

    books: Books
    request: BookingRequest
    run_id: str
    arguments: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What the sender wrote."""
        return self.request.text

    @property
    def role(self) -> str:
        """Who the sender is, as intake says."""
        return self.request.sender_role

    @property
    def booking(self) -> Booking | None:
        """The booking that the call names."""
        return self.books.booking(self.arguments.get("booking_id"))

    def names(self, booking: Booking) -> bool:
        """Whether the request is about this booking: it names it, it made it, or it comes from its contact.

        A guest who writes from another address than the one on file names it in vain.
        """
        sender = self.request.sender
        if self.role == "guest" and sender and booking.contact not in (None, sender):
            return False
        return (
            wording.mentions(self.text, (booking.id, booking.ref))
            or (bool(sender) and booking.contact == sender)
            or self.books.made_by(self.run_id, booking.id)
        )

    def aboard(self) -> frozenset[str]:
        """The people the sender speaks for: those the text names, or whose address it came from."""
        world, company = self.books.world, self.books.company
        own = {p for p in (*world.captains, *world.deckhands) if addresses.person(company, p) == self.request.sender}
        return wording.people(self.text) | own

    def speaks_of(self, booking: Booking) -> bool:
        """Whether the request is about this booking, or about a trip of the people it names on that day."""
        if self.names(booking):
            return True
        if self.role not in (*ABOARD, *OFFICE):
            return False
        sails = self.aboard() & frozenset(booking.people)
        fits = wording.of_day(self.text, booking.start.date(), self.books.now.date())
        return bool(sails) and fits is True


def strange(case: Case, booking: Booking | None) -> str:
    """Say that the request is not about a booking."""
    if booking is None or case.speaks_of(booking):
        return ""
    return f"the request is not about {booking.id}"


def about(case: Case) -> str:
    """Say that the request is not about the booking that the call names."""
    return strange(case, case.booking)


def claim_of(case: Case) -> Claim | None:
    """Find the calendar entry of the hold that the call names."""
    hold = str(case.arguments.get("hold_id") or "")
    number = hold.removeprefix("H-")
    return case.books.entry(int(number)) if hold.startswith("H-") and number.isdecimal() else None
