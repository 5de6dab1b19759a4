"""What a request does not bear out waits for a person, however sure a model is of it.

A model may be wrong, confused or hostile. So each call that changes what a company already has (bookings, slots, crews, pages, money)
is held against facts that code can see: who sent the request, which bookings its text names, what its words ask for, what is on record.
Where they do not bear the call out it is held, like any other decision: the operator can let exactly this call through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from . import wording
from .case import ABOARD, OFFICE, Case, about, claim_of
from .money import money
from .prices import duration, list_price
from .warrant_booking import cancel, change, counts, create
from .warrant_slot import blocked, entered, freed, hold

_UNPAID = re.compile(r"fail|refund|disput|chargeback|pending|cancel|declin|expire|revers", re.IGNORECASE)


Warrant: TypeAlias = Callable[[Case], str]


def missing(case: Case, action: str) -> str:
    """Say why a call must wait for a person; empty where the request bears it out. A call that names nothing known is the tool's to refuse."""
    warrant = WARRANTS.get(action)
    return "" if warrant is None else _out_of_order(case, action) or warrant(case)


def _out_of_order(case: Case, action: str) -> str:
    # The operator may go on from what was done before this request; nobody else can know of it.
    first = AFTER.get(action)
    if first is None or case.role == "operator" or case.books.did(case.run_id, first):
        return ""
    return f"{action} comes after {' or '.join(first)}"


def _charged(case: Case) -> str:
    booking, claim = case.booking, claim_of(case)
    amount = money(case.arguments["amount"])
    if booking is not None and booking.total is not None:
        most = booking.total
    elif claim is not None:
        world = case.books.world
        most = list_price(world, world.vessels, duration(claim.slot.start, claim.slot.end))
    else:
        return ""
    return f"{amount} is more than the trip costs" if amount > most else ""


def _reported(case: Case) -> str:
    given = case.arguments
    amount, event, booking = money(given["amount"]), str(given["event_id"]), case.booking
    if case.role == "operator":
        named = booking is None or case.names(booking)
        return "" if named and amount in wording.numbers(case.text) else "the operator did not speak of this payment"
    try:
        said: Any = json.loads(case.text)
    except ValueError:
        said = None
    if isinstance(said, Mapping):
        told = list(_leaves(cast("Mapping[str, Any]", said)))
        paid = {money(v) for v in told if isinstance(v, int | float) and not isinstance(v, bool)}
        fits = event in told and given["booking_id"] in told and amount in paid
        if any(isinstance(value, str) and value != event and _UNPAID.search(value) for value in told):
            return "the processor reports no payment"
        return "" if fits else "the processor reports something else"
    fits = (
        event in case.text
        and wording.mentions(case.text, (given["booking_id"],))
        and amount in wording.numbers(case.text)
    )
    return "" if fits else "the processor reports something else"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _leaves(inner)
    else:
        yield value


def _stood_down(case: Case) -> str:
    booking = case.booking
    if booking is None or not booking.live:
        return ""
    if case.role != "operator" or not case.speaks_of(booking):
        return f"{booking.id} is still to be sailed"
    persons = set(cast("list[str]", case.arguments.get("persons") or []))
    return "" if wording.everybody(case.text) or persons <= wording.people(case.text) else "the operator named others"


def _replaced(case: Case) -> str:
    if case.role not in (*ABOARD, *OFFICE):
        return f"a {case.role} changes no crew"
    if case.arguments.get("out") not in case.aboard():
        return "the request does not name who goes out"
    return about(case)


def _dispatched(case: Case) -> str:
    return f"a {case.role} calls out no crew" if case.role in ("unknown", *ABOARD) else about(case)


def _withdrawn(case: Case) -> str:
    booking = case.booking
    if booking is not None and booking.live and case.role not in ("guest", "operator"):
        return f"a {case.role} takes no page down"
    return about(case)


def _published(case: Case) -> str:
    booking = case.booking
    if (
        booking is not None
        and booking.status == "tentative"
        and not any(c.firm for c in case.books.entries(booking.id))
    ):
        return f"{booking.id} is not confirmed"
    return about(case)


# What comes after what in one run: one of these at least.
AFTER: Mapping[str, tuple[str, ...]] = {
    "booking.create": ("booking.dedupe_check",),
    "booking.confirm": ("calendar.confirm_slot",),
    "crew.dispatch_cascade": ("calendar.confirm_slot",),
    "crew.replace_member": ("booking.verify_identity",),
    "guestpage.withdraw": ("booking.verify_identity", "booking.cancel"),
}


WARRANTS: Mapping[str, Warrant] = {
    "booking.create": create,
    "booking.cancel": cancel,
    "booking.change": change,
    "booking.confirm": about,
    "booking.update_notes": counts,
    "calendar.place_hold": hold,
    "calendar.confirm_slot": entered,
    "calendar.release_slot": freed,
    "calendar.block_range": blocked,
    "payment.create_balance_link": _charged,
    "payment.create_deposit_link": _charged,
    "payment.record_webhook": _reported,
    "crew.dispatch_cascade": _dispatched,
    "crew.release": _stood_down,
    "crew.replace_member": _replaced,
    "guestpage.publish": _published,
    "guestpage.withdraw": _withdrawn,
}
