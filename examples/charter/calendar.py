"""The calendar specialist: what is free, what is held, what is firm."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Any

from pydantic import Field

from trimtab import Rejected, Specialist, Step, tool

from . import freetime, moving
from .books import Books
from .desk import gate, made, reads, undoes, writes
from .enquiry import unknown
from .fleet import Fleet
from .kinds import BookingId, Count, Day, Days, Hours, Id, LocalTime, Search, SlotIn, Text, Vessel
from .record import Booking
from .request import BookingRequest
from .results import Availability, Blocked, Entered, Events, Held, Released
from .slots import Claim, Slot
from .world import Block


def _number(name: str, prefix: str) -> int | None:
    start, _, rest = name.partition("-")
    return int(rest) if start == prefix and rest.isdecimal() else None


class Calendar(Specialist[Any], role="calendar", risk="high"):
    """You keep the calendar of a small sailing-charter company: the truth about which vessel is taken when.

    Call the action you were given with exactly the inputs you were given, once, and answer with what it returned.
    Never guess whether a slot is free. A move takes its new slot before the old one is released.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @tool("read")
    @reads
    def check_availability(
        self,
        step: Step,
        books: Books,
        *,
        slots: Annotated[list[SlotIn] | None, Field(min_length=1)] = None,
        search: Search | None = None,
        party_size: Count | None = None,
        exclude: BookingId | None = None,
    ) -> Availability | Rejected:
        """Say whether slots are free, turnaround and blocks included, and what else is free in `search`.

        `exclude` is the booking whose own slots do not count, as in a move. `free_slots` are spans: a trip may lie anywhere in one.
        """
        del step
        if slots is None and search is None:
            return Rejected("give slots, or a search")
        if search is not None and search.last < search.first:
            return Rejected(f"the search ends on {search.last}, before it starts")
        asked = [Slot(s.vessel, s.start, s.end) for s in slots or ()]
        if ended := next((slot for slot in asked if slot.end <= slot.start), None):
            return Rejected(f"a slot ends at {ended.end:%Y-%m-%dT%H:%M}, not after its start")
        return freetime.answer(books, asked, search, party_size, exclude)

    @tool("reversible", approval=gate("calendar.place_hold"))
    @writes
    def place_hold(
        self,
        step: Step,
        books: Books,
        *,
        vessel: Vessel,
        start: LocalTime,
        end: LocalTime,
        hold_hours: Hours,
        party_size: Count | None = None,
        booking_id: BookingId | None = None,
    ) -> Held | Rejected:
        """Hold a free slot for some hours. Give `booking_id` when it is the new slot of that booking's move."""
        slot = Slot(vessel, start, end)
        booking = books.booking(booking_id)
        if booking_id is not None and booking is None:
            return unknown(booking_id)
        party = party_size or (booking.party if booking else None)
        if wrong := moving.unfit(books, slot, party) or moving.collision(books, slot, but=booking_id):
            return wrong
        expires = books.now + timedelta(hours=float(hold_hours))
        sender = step.request_as(BookingRequest).sender
        n = books.take(slot, firm=False, booking_id=booking_id, expires=expires, party=party, sender=sender)
        books.undo = {"n": n}
        return Held(f"H-{n}", vessel, start, end, expires)

    place_hold.lookup(made)

    @place_hold.compensate
    @undoes
    def undo_place_hold(self, books: Books, note: Mapping[str, Any]) -> None:
        """Release the hold."""
        claim = books.entry(note["n"])
        if claim is not None and not claim.firm:
            books.release(claim)

    @tool("reversible", approval=gate("calendar.confirm_slot"))
    @writes
    def confirm_slot(
        self, step: Step, books: Books, *, hold_id: Id | None = None, booking_id: BookingId | None = None
    ) -> Entered | Rejected:
        """Turn a hold, or the slot of a booking, into a firm calendar entry. A hold that ran out counts only while its slot is free."""
        del step
        if hold_id is None and booking_id is None:
            return Rejected("give hold_id or booking_id")
        claim = _wanted(books, hold_id, booking_id)
        if isinstance(claim, Rejected):
            return claim
        owner = claim.booking_id or booking_id
        if not claim.firm:
            if taken := moving.collision(books, claim.slot, but=owner, but_entry=claim.entry):
                return taken
            expires = claim.expires.isoformat() if claim.expires else None
            books.undo = {"n": claim.entry, "expires": expires, "made": claim.entry == 0, "of": claim.booking_id}
            if claim.entry:
                books.mark(claim.entry, state="firm", booking_id=owner, expires=None)
            else:
                n = books.take(claim.slot, firm=True, booking_id=owner)
                books.undo["n"] = n
                return Entered(f"E-{n}", claim.slot.vessel, claim.slot.start, claim.slot.end)
        return Entered(f"E-{claim.entry}", claim.slot.vessel, claim.slot.start, claim.slot.end)

    confirm_slot.lookup(made)

    @confirm_slot.compensate
    @undoes
    def undo_confirm_slot(self, books: Books, note: Mapping[str, Any]) -> None:
        """Make the entry a hold again, or release it where there was none."""
        claim = books.entry(note["n"])
        if claim is not None and note["made"]:
            books.release(claim)
        elif claim is not None:
            expires = datetime.fromisoformat(note["expires"]) if note["expires"] else None
            books.mark(claim.entry, state="hold", booking_id=note["of"], expires=expires)

    @tool("irreversible", approval=gate("calendar.release_slot"))
    @writes
    def release_slot(
        self,
        step: Step,
        books: Books,
        *,
        hold_id: Id | None = None,
        booking_id: BookingId | None = None,
        start: LocalTime | None = None,
    ) -> Released | Rejected:
        """Free a hold, or a booking's slot; in a move `start` names the old one. Another guest may take it at once.

        The slot a confirmed booking sails in is not freed before the booking is cancelled, or has another that is firm; and then
        it is free once the booking was changed, not before: whatever happens in between, there is a slot it sails in.
        """
        del step
        if hold_id is None and booking_id is None:
            return Rejected("give hold_id or booking_id")
        going = _going(books, hold_id, booking_id, start)
        if isinstance(going, Rejected):
            return going
        for claim in going:
            if not moving.sails_in(books, claim):
                books.release(claim)
                books.ledger.expire_links(claim.entry)
        return Released(released=bool(going))

    release_slot.lookup(made)

    @tool("reversible", approval=gate("calendar.block_range"))
    @writes
    def block_range(
        self,
        step: Step,
        books: Books,
        *,
        vessel: Vessel,
        from_: Annotated[Day, Field(alias="from")],
        to: Day,
        reason: Text,
    ) -> Blocked | Rejected:
        """Close a vessel for whole days, both ends included. `affected` names the trips and standing blocks this touches; none is changed."""
        del step
        if to < from_:
            return Rejected(f"the range ends on {to}, before it starts")
        midnight = datetime.combine(to, time.min) + timedelta(days=1)
        whole = Slot(vessel, datetime.combine(from_, time.min), midnight)
        affected = freetime.touched(books, whole)
        n = books.add_block(Block(vessel, reason, from_, to))
        books.undo = {"n": n}
        return Blocked(f"K-{n}", from_, to, affected)

    block_range.lookup(made)

    @block_range.compensate
    @undoes
    def undo_block_range(self, books: Books, note: Mapping[str, Any]) -> None:
        """Open the vessel again."""
        books.lift_block(note["n"])

    @tool("read")
    @reads
    def list_events(
        self,
        step: Step,
        books: Books,
        *,
        vessels: list[Vessel],
        from_: Annotated[Day, Field(alias="from")],
        to: Day,
        days: Days | None = None,
    ) -> Events | Rejected:
        """List bookings (their ids), blocks and free time of vessels in a range of days."""
        del step
        if to < from_:
            return Rejected(f"the range ends on {to}, before it starts")
        return freetime.events(books, vessels, from_, to, days or "any")


def _wanted(books: Books, hold_id: str | None, booking_id: str | None) -> Claim | Rejected:
    if hold_id is not None:
        number = _number(hold_id, "H")
        claim = books.entry(number) if number is not None else None
        if claim is None or (booking_id is not None and claim.booking_id not in (None, booking_id)):
            return Rejected(f"there is no hold {hold_id!r}" + (f" of {booking_id}" if booking_id else ""))
        return claim
    booking = books.booking(booking_id)
    if booking is None:
        return unknown(booking_id)
    if not booking.live:
        return Rejected(f"{booking.id} is {booking.status}")
    own = [claim for claim in books.entries(booking.id) if claim.slot == booking.slot]
    return next(
        (claim for claim in own if claim.firm),
        own[0] if own else Claim(booking.slot, 0, firm=False, booking_id=booking.id),
    )


def _going(books: Books, hold_id: str | None, booking_id: str | None, start: datetime | None) -> list[Claim] | Rejected:
    if hold_id is not None:
        number = _number(hold_id, "H")
        if number is None or not books.placed(number):
            return Rejected(f"there is no hold {hold_id!r}")
        claim = books.entry(number)
        if claim is not None and booking_id not in (None, claim.booking_id):
            return Rejected(f"{hold_id} is no hold of {booking_id}")
        found = [claim] if claim else []
        booking = books.booking(claim.booking_id) if claim else None
    else:
        booking = books.booking(booking_id)
        if booking is None:
            return unknown(booking_id)
        found = [claim for claim in books.entries(booking.id) if start is None or claim.slot.start == start]
    if booking is None or booking.status != "confirmed" or not found:
        return found
    going = _spare(books, booking, found, named=start is not None)
    return going or Rejected(f"{booking.id} is confirmed and sails in that slot: cancel or move it first")


def _spare(books: Books, booking: Booking, found: list[Claim], *, named: bool) -> list[Claim]:
    # What the booking sails in stays, and it must be there: the new slot of a move is held before the old one goes.
    claims = [claim for claim in books.entries(booking.id) if claim.live(books.now)]
    kept = [claim for claim in claims if claim.slot.holds(booking.slot)]
    going = [claim for claim in found if claim.slot != booking.slot and (len(kept) > 1 or claim not in kept)]
    if kept and going:
        return going
    # Or it is named while the booking is still entered there, and the new slot is firm already.
    return found if named and any(claim.firm for claim in claims if claim not in found) else []
