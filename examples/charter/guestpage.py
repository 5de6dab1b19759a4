"""The guest-page specialist: what the guests of a trip can look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trimtab import Rejected, Specialist, Step, tool

from . import addresses
from .books import Books
from .desk import gate, made, undoes, writes
from .enquiry import unknown
from .fleet import Fleet
from .kinds import BookingId, Flag, Id, LocalTime, Text
from .papers import Page
from .record import Booking
from .results import PageUpdated, PageWithdrawn, Published
from .wire import local, minute


class GuestPage(Specialist[Any], role="guestpage", risk="medium"):
    """You keep the guest pages of a small sailing-charter company.

    Call the action you were given with exactly the inputs you were given, once, and answer with what it returned.
    A page shows the booking's own times and nothing about money, crew phones or children's ages.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @tool("reversible", approval=gate("guestpage.publish"))
    @writes
    def publish(self, step: Step, books: Books, *, booking_id: BookingId) -> Published | Rejected:
        """Put up the guest page of a booking that is not cancelled."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        if booking.status == "cancelled":
            return Rejected(f"{booking_id} is cancelled")
        before = books.papers.page(booking_id)
        if before is not None and before.live:
            return Published(addresses.page_link(books.company, before.token))
        # A page that was taken down never comes back under the address somebody may still have.
        page = replace(_fresh(booking, live=True), without=before.without if before else ())
        books.papers.put_page(page)
        books.undo = {"booking": booking_id, "before": _kept(before)}
        return Published(addresses.page_link(books.company, page.token))

    publish.lookup(made)

    @publish.compensate
    @undoes
    def undo_publish(self, books: Books, note: Mapping[str, Any]) -> None:
        """Take the page down."""
        _restore(books, note)

    @tool("reversible")
    @writes
    def update(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId,
        start: LocalTime | None = None,
        end: LocalTime | None = None,
    ) -> PageUpdated | Rejected:
        """Bring the guest page in line with the booking; given times must be the booking's. One that was taken down stays down."""
        del step
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        if start not in (None, booking.start) or end not in (None, booking.end):
            return Rejected(
                f"{booking_id} sails {minute(booking.start)} to {minute(booking.end)}: a page shows nothing else"
            )
        before = books.papers.page(booking_id)
        page = before or _fresh(booking, live=booking.status != "cancelled")
        books.papers.put_page(replace(page, start=booking.start, end=booking.end))
        books.undo = {"booking": booking_id, "before": _kept(before)}
        return PageUpdated(addresses.page_link(books.company, page.token), booking.start, booking.end)

    update.lookup(made)

    @update.compensate
    @undoes
    def undo_update(self, books: Books, note: Mapping[str, Any]) -> None:
        """Show the times it showed."""
        _restore(books, note)

    @tool("reversible", approval=gate("guestpage.withdraw"))
    @writes
    def withdraw(
        self,
        step: Step,
        books: Books,
        *,
        booking_id: BookingId,
        reason: Text,
        remove: list[Id] | None = None,
        reissue_link: Flag = False,
    ) -> PageWithdrawn | Rejected:
        """Take the page and its cached copies down. `reissue_link` puts it up under a new secret link, without what `remove` names."""
        del step, reason
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        before = books.papers.page(booking_id)
        gone = before or _fresh(booking, live=False)
        without = tuple(dict.fromkeys((*gone.without, *(remove or ()))))
        token = addresses.secret() if reissue_link else gone.token
        books.papers.put_page(replace(gone, token=token, without=without, live=bool(reissue_link)))
        books.undo = {"booking": booking_id, "before": _kept(before)}
        link = addresses.page_link(books.company, token) if reissue_link else None
        return PageWithdrawn(withdrawn=True, copies_gone=True, page_link=link)

    withdraw.lookup(made)

    @withdraw.compensate
    @undoes
    def undo_withdraw(self, books: Books, note: Mapping[str, Any]) -> None:
        """Put the page up as it was."""
        _restore(books, note)


def _fresh(booking: Booking, *, live: bool) -> Page:
    return Page(booking.id, addresses.secret(), booking.start, booking.end, (), live)


def _kept(page: Page | None) -> dict[str, Any] | None:
    if page is None:
        return None
    return {"token": page.token, "start": page.start, "end": page.end, "without": page.without, "live": page.live}


def _restore(books: Books, note: Mapping[str, Any]) -> None:
    before = note["before"]
    if before is None:
        books.papers.drop_page(note["booking"])
        return
    start, end = local(before["start"]), local(before["end"])
    books.papers.put_page(Page(note["booking"], before["token"], start, end, tuple(before["without"]), before["live"]))
