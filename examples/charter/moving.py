"""Taking and changing slots: a new one is ours before the old one goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from trimtab import Handoff, Rejected, Status

from .books import Books
from .kinds import Changes
from .money import money
from .prices import duration
from .record import Booking, shown
from .results import Changed
from .slots import Claim, Slot
from .wire import local, minute


def unfit(books: Books, slot: Slot, party: int | None, *, short: bool = False, begun: bool = False) -> Rejected | None:
    """Say why nobody may have this slot, free or not: ends before it starts, too short, in the past, too many people.

    What a marketplace sold may be `short`; a trip under way, which `begun`, may still change.
    """
    facts = books.world.vessels[slot.vessel]
    if slot.end <= slot.start:
        return Rejected(f"the trip ends at {minute(slot.end)}, not after its start {minute(slot.start)}")
    if not short and duration(slot.start, slot.end) < facts.min_hours:
        return Rejected(f"{slot.vessel} sails {facts.min_hours} hours at least")
    if not begun and slot.start < books.now:
        return Rejected(f"{minute(slot.start)} is past")
    return overfull(books, slot.vessel, party)


def overfull(books: Books, vessel: str, party: int | None) -> Rejected | None:
    """Say that a vessel does not carry so many people."""
    capacity = books.world.vessels[vessel].capacity
    return Rejected(f"{vessel} carries {capacity}, not {party}") if party is not None and party > capacity else None


def collision(books: Books, slot: Slot, *, but: str | None = None, but_entry: int | None = None) -> Rejected | None:
    """Say what is in the way of a slot, if anything is."""
    claims = [claim for claim in books.claims(but) if claim.entry != but_entry]
    taken = books.in_the_way(slot, claims=claims)
    if not taken:
        return None
    first = taken[0]
    whose = f" by {first.claim.booking_id}" if first.claim and first.claim.booking_id else ""
    return Rejected(
        f"{slot.vessel} {minute(slot.start)} to {minute(slot.end)} is not free: "
        f"{first.why}{whose} {minute(first.slot.start)} to {minute(first.slot.end)}, turnaround counts"
    )


def own_hold(books: Books, slot: Slot, sender: str) -> int | None:
    """Find the entry without a booking that this run, or this very sender, placed on exactly this slot."""
    for claim in books.claims():
        if claim.slot == slot and claim.booking_id is None:
            run_id, holder = books.entry_of(claim.entry)
            if (run_id and run_id == books.run_id) or (sender and sender == holder):
                return claim.entry
    return None


def change(
    books: Books, booking: Booking, changes: Changes, *, crew_confirmed: bool | None
) -> Changed | Handoff[Changed] | Rejected:
    """Change a booking, or say what stands against it."""
    if not booking.live:
        return Rejected(f"{booking.id} is {booking.status}")
    changed = _changed(booking, changes)
    moved = changed.slot != booking.slot
    begun = changed.start == booking.start
    if moved and (wrong := unfit(books, changed.slot, changed.party, short=booking.market, begun=begun)):
        return wrong
    if full := overfull(books, changed.vessel, changed.party):
        return full
    policy = books.world.policies
    if (changed.start, changed.end) != (booking.start, booking.end):
        missing = books.roll.unsettled(booking.id, changed.slot)
        if not crew_confirmed or missing:
            waits = Changed(booking.id, booking.start, booking.end, booking.due(policy.balance_days), {})
            return Handoff(
                Status.AWAITING_CREW, waits, f"the crew has not confirmed: {', '.join(missing) or 'asked'}", stops=True
            )
        if not booking.market:
            changed = replace(changed, balance_due=changed.start.date() - timedelta(days=policy.balance_days))
    taken = None
    if moved and not any(
        claim.slot.holds(changed.slot) for claim in books.entries(booking.id) if claim.live(books.now)
    ):
        if wrong := collision(books, changed.slot, but=booking.id):
            return wrong
        taken = books.take(changed.slot, firm=False, booking_id=booking.id, party=changed.party)
    _enter(books, changed)
    _leave(books, changed)
    before = shown(booking)
    differing = {name: before[name] for name, value in shown(changed).items() if value != before[name]}
    books.undo = {"booking": booking.id, "before": differing, "taken": taken}
    return Changed(booking.id, changed.start, changed.end, changed.due(policy.balance_days), differing)


def sails_in(books: Books, claim: Claim) -> bool:
    """Whether this is the only slot a confirmed booking sails in, and another waits for it to move there."""
    booking = books.booking(claim.booking_id)
    if booking is None or booking.status != "confirmed" or not claim.slot.holds(booking.slot):
        return False
    return not any(
        other.entry != claim.entry and other.live(books.now) and other.slot.holds(booking.slot)
        for other in books.entries(booking.id)
    )


def _leave(books: Books, booking: Booking) -> None:
    # What was given up before the booking moved is free now.
    starts = books.given_up(booking.id)
    for claim in books.entries(booking.id):
        if claim.slot.start in starts and not claim.slot.holds(booking.slot):
            books.release(claim)
            books.ledger.expire_links(claim.entry)


def restore(books: Books, note: Mapping[str, Any]) -> Rejected | None:
    """Give a booking the fields back that a change took, and its old slot where that was freed meanwhile."""
    booking = books.booking(note["booking"])
    assert booking is not None
    before: dict[str, Any] = dict(note["before"])
    readers = {"start": local, "end": local, "total": _amount, "balance_due": _day}
    fields = {name: readers[name](value) if name in readers else value for name, value in before.items()}
    again = replace(booking, **fields)
    held = any(claim.live(books.now) and claim.slot.holds(again.slot) for claim in books.entries(booking.id))
    if again.slot != booking.slot and again.live and not held:
        if wrong := collision(books, again.slot, but=booking.id):
            return wrong
        books.take(again.slot, firm=True, booking_id=booking.id, party=again.party)
    _enter(books, again)
    entry = books.entry(note["taken"]) if note["taken"] else None
    if entry is not None:
        books.release(entry)
    return None


def _enter(books: Books, booking: Booking) -> None:
    # A page reads its times from the booking: guests must never see a time that is not theirs any more.
    books.save(booking)
    page = books.papers.page(booking.id)
    if page is not None and page.live:
        books.papers.put_page(replace(page, start=booking.start, end=booking.end))


def _changed(booking: Booking, changes: Changes) -> Booking:
    return replace(
        booking,
        vessel=changes.vessel or booking.vessel,
        start=changes.start or booking.start,
        end=changes.end or booking.end,
        party=changes.party_size or booking.party,
        contact=changes.contact or booking.contact,
        total=booking.total if changes.total is None else changes.total,
    )


def _amount(value: float | None) -> Decimal | None:
    return None if value is None else money(value)


def _day(value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(value)
