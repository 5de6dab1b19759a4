"""What a request must bear out before a booking is entered, changed or called off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from . import refunds, wording
from .case import OFFICE, Case, about, strange
from .money import ZERO, money
from .record import Booking
from .slots import Slot
from .wire import local

_BOOKING = ("guest", "unknown", "marketplace", "operator")


def create(case: Case) -> str:
    """Say why nobody may enter this booking unasked."""
    given = case.arguments
    if given.get("source") == "direct":
        return "" if case.role in _BOOKING else f"a {case.role} books nothing for guests"
    if case.role not in ("marketplace", *OFFICE):
        return f"a {case.role} cannot report a marketplace booking"
    ref = given.get("ref")
    if ref is None or not wording.mentions(case.text, (ref,)):
        return f"the notice does not name {ref!r}"
    if any(b.source == given.get("source") and b.ref == ref for b in case.books.bookings()):
        return ""
    said, start = wording.numbers(case.text), local(given["start"])
    told: Mapping[str, bool] = {
        "the price": given.get("gross") is None or money(given["gross"]) in said,
        "the vessel": wording.of_vessel(case.text, given["vessel"]),
        "the day": wording.of_day(case.text, start.date(), case.books.now.date()) is True,
        "the hour": wording.of_hour(case.text, start),
        "the party": Decimal(given["party_size"]) in said,
    }
    strange = next((name for name, fits in told.items() if not fits), None)
    return f"the notice tells otherwise of {strange}" if strange else ""


def cancel(case: Case) -> str:
    """Say why nobody may cancel this booking unasked."""
    booking = case.booking
    if booking is None or not booking.live:
        return ""
    if case.role not in ("guest", "operator", "marketplace") or not case.names(booking):
        return f"a {case.role} cannot call off {booking.id}"
    by = case.arguments.get("by")
    if not wording.calls_off(case.text):
        return "the request does not ask to cancel"
    if case.role == "operator":
        return ""
    if by not in ("guest", "weather") or (by == "weather" and not wording.of_weather(case.text)):
        return f"a {case.role} cannot cancel as {by}"
    return _choice_first(case, booking) if by == "guest" else ""


def _choice_first(case: Case, booking: Booking) -> str:
    # Where nothing comes back, the guest may move instead: they choose before anything is cancelled.
    ruling = refunds.rule(
        case.books.world.policies, booking, "guest_cancel", case.books.now, refunded=ZERO, hours_lost=None
    )
    return "the guest gets nothing back: they choose between that and a move first" if ruling.refund_pct == 0 else ""


def change(case: Case) -> str:
    """Say why nobody may change this booking so unasked."""
    booking = case.booking
    if booking is None or not booking.live:
        return ""
    if wrong := strange(case, booking):
        return wrong
    if case.role in ("unknown", "system", "crew"):
        return f"a {case.role} changes no booking"
    changes = cast("Mapping[str, Any]", case.arguments.get("changes") or {})
    party = changes.get("party_size")
    if party is not None and party != booking.party and not wording.of_people(case.text, int(party)):
        return f"the request does not speak of {party} people"
    vessel = str(changes.get("vessel") or booking.vessel)
    if vessel != booking.vessel and not wording.of_vessel(case.text, vessel):
        return f"the request does not speak of {vessel}"
    return _moved(case, booking, changes)


def _moved(case: Case, booking: Booking, changes: Mapping[str, Any]) -> str:
    start = local(changes["start"]) if changes.get("start") else booking.start
    end = local(changes["end"]) if changes.get("end") else booking.end
    if (start, end) == (booking.start, booking.end):
        return ""
    if not says_when(case, booking, start, end):
        return "the request does not name the new time"
    slot = Slot(str(changes.get("vessel") or booking.vessel), start, end)
    return (
        ""
        if case.role in ("operator", "captain") or not case.arguments.get("crew_confirmed")
        else unheard(case, booking, slot)
    )


def says_when(case: Case, booking: Booking, start: datetime, end: datetime) -> bool:
    """Say whether the request names the new time of a booking."""
    if start.date() != booking.start.date():
        return wording.of_day(case.text, start.date(), case.books.now.date()) is True
    moved = [new for new, old in ((start, booking.start), (end, booking.end)) if new != old]
    return any(wording.of_hour(case.text, new) for new in moved)


def unheard(case: Case, booking: Booking, slot: Slot) -> str:
    """Say who sails and did not agree to new hours."""
    # `crew_confirmed` is what a model says; what the crew said is on the roll.
    unheard = [p for p in booking.people if p not in case.books.roll.agreed(booking.id, slot)]
    return f"{', '.join(unheard)} did not agree to the new hours" if unheard else ""


def counts(case: Case) -> str:
    """Say why nobody may count the guests so unasked."""
    adults, minors = case.arguments.get("adults"), cast("list[Mapping[str, int]] | None", case.arguments.get("minors"))
    booking = case.booking
    if booking is None or (adults is None and minors is None):
        return ""
    if case.role not in ("guest", "operator"):
        return f"a {case.role} does not count the guests"
    said = wording.numbers(case.text)
    ages = [Decimal(minor["age"]) for minor in minors or ()]
    # Adults may be told by what is left of the party.
    heads = adults is None or Decimal(adults) in said or adults == booking.party - len(ages)
    if not heads or not said.issuperset(ages) or (minors == [] and booking.minors):
        return "the request does not speak of so many people"
    return about(case)
