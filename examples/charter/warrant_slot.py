"""What a request must bear out before time of a vessel is held, firm, free or closed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from . import wording
from .case import OFFICE, Case, about, claim_of, strange
from .money import ZERO
from .prices import deposit_of
from .record import Booking
from .slots import Claim
from .warrant_booking import says_when, unheard
from .wire import local


def hold(case: Case) -> str:
    """Say why nobody may hold this slot so unasked."""
    longest = float(case.books.world.policies.hold_hours)
    if case.role != "operator" and float(case.arguments.get("hold_hours") or 0) > longest:
        return f"a hold lasts {longest:g} hours"
    return about(case)


def entered(case: Case) -> str:
    """Say why nobody may make this slot firm unasked."""
    claim = claim_of(case)
    booking = case.books.booking(claim.booking_id if claim and claim.booking_id else case.arguments.get("booking_id"))
    if booking is None:
        # A slot that is firm without a booking is nobody's: only what a marketplace sold may be entered before it is booked.
        bare = claim is not None and case.role not in ("marketplace", *OFFICE)
        return f"a {case.role} cannot make a hold firm that is no booking's" if bare else ""
    if wrong := strange(case, booking):
        return wrong
    short = booking.status == "tentative" and not booking.market and booking.paid < _deposit(case, booking)
    # The new slot of a move is what this run holds; the slot that was there is firm once it is paid for.
    moves = claim is not None and case.books.entry_of(claim.entry)[0] == case.run_id
    return f"{booking.id} has no deposit" if short and not moves else ""


def _deposit(case: Case, booking: Booking) -> Decimal:
    return deposit_of(case.books.world, booking.total or ZERO)


def freed(case: Case) -> str:
    """Say why nobody may free this slot unasked."""
    claim = claim_of(case)
    if claim is not None and claim.booking_id is None:
        run_id, holder = case.books.entry_of(claim.entry)
        own = run_id == case.run_id or (bool(holder) and holder == case.request.sender)
        return "" if own or case.role == "operator" else "the hold is another's"
    booking = case.books.booking(claim.booking_id if claim else case.arguments.get("booking_id"))
    if booking is None:
        return ""
    if wrong := strange(case, booking):
        return wrong
    if not booking.live:
        return ""
    if not case.books.did(case.run_id, ("calendar.place_hold",), booking.id):
        return "a booking's slot is freed after it is cancelled, or after its new slot is held"
    start = case.arguments.get("start")
    entries = [c for c in case.books.entries(booking.id) if c.live(case.books.now)]
    going = [claim] if claim else [c for c in entries if start is None or c.slot.start == local(start)]
    return _stays(case, booking, going, [c for c in entries if c not in going])


def _stays(case: Case, booking: Booking, going: list[Claim], left: list[Claim]) -> str:
    if any(claim.slot.holds(booking.slot) for claim in left):
        return ""
    sails_in = [c for c in going if c.slot.holds(booking.slot)]
    spare = [c for c in going if c.slot != booking.slot and (len(sails_in) > 1 or c not in sails_in)]
    if booking.status == "confirmed" and sails_in and spare:
        # A trip that is longer now: the calendar frees the old entry and keeps the one it sails in.
        return ""
    # Or the move is under way: the new slot is firm, it is the one that was asked for, and who sails has agreed to it.
    for claim in left:
        agreed = case.role == "operator" or not unheard(case, booking, claim.slot)
        if claim.firm and agreed and says_when(case, booking, claim.slot.start, claim.slot.end):
            return ""
    return f"{booking.id} would have no slot"


def blocked(case: Case) -> str:
    """Say why nobody may close this vessel then unasked."""
    if case.role != "operator":
        return f"a {case.role} closes no vessel"
    today = case.books.now.date()
    if not wording.of_vessel(case.text, case.arguments["vessel"], strictly=True):
        return f"the request does not name {case.arguments['vessel']}"
    for name in ("from", "to"):
        day = datetime.fromisoformat(case.arguments[name]).date()
        if wording.of_day(case.text, day, today) is not True:
            return f"the request does not name {day}"
    return ""
