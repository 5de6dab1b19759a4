"""What every action returns: exactly the result fields that actions.json declares for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from .kinds import Amount, Day, LocalTime, Object, Pct


@dataclass(frozen=True, slots=True)
class Deduped:
    """Whether a notice is known."""

    duplicate: bool
    booking_id: str | None = None


@dataclass(frozen=True, slots=True)
class TripRow:
    """One booking among several, for the operator."""

    booking_id: str
    ref: str | None
    vessel: str
    start: LocalTime
    end: LocalTime
    status: str
    party_size: int
    captain: str | None
    crew: tuple[str, ...]
    crewed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup found; the fields of one booking only where exactly one matched."""

    found: bool
    rows: tuple[TripRow, ...] = ()
    booking_id: str | None = None
    vessel: str | None = None
    start: LocalTime | None = None
    end: LocalTime | None = None
    call_time: LocalTime | None = None
    party_size: int | None = None
    status: str | None = None
    source: str | None = None
    ref: str | None = None
    kind: str | None = None
    notes: str | None = None
    total: Amount | None = None
    paid: Amount | None = None
    balance: Amount | None = None
    balance_due: Day | None = None
    hold_expires: LocalTime | None = None
    gross_revenue: Amount | None = None
    captain: str | None = None
    crew: tuple[str, ...] | None = None
    own_pay: Amount | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A booking that was entered."""

    booking_id: str
    status: str
    total: Amount | None
    gross_revenue: Amount | None


@dataclass(frozen=True, slots=True)
class Option:
    """One price among several."""

    vessels: tuple[str, ...]
    hours: Amount
    capacity: int
    total: Amount
    deposit: Amount


@dataclass(frozen=True, slots=True)
class Quoted:
    """Prices; total and the costs only where one duration was asked for."""

    quotes: tuple[Option, ...]
    capacity: int
    total: Amount | None = None
    deposit: Amount | None = None
    crew_cost: Amount | None = None
    captain_cost: Amount | None = None
    port_fee: Amount | None = None
    net_revenue: Amount | None = None
    asked_net_revenue: Amount | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A booking that was changed, with what it was."""

    booking_id: str
    start: LocalTime
    end: LocalTime
    balance_due: Day | None
    previous: Object


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A booking that was cancelled."""

    booking_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A booking that became firm."""

    booking_id: str
    status: str
    balance: Amount | None
    balance_due: Day | None


@dataclass(frozen=True, slots=True)
class Noted:
    """A note that was added."""

    booking_id: str
    notes: str


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What the policy says; what does not apply is None."""

    days_before: int
    settled_in: str
    refund_pct: Pct | None = None
    refund_amount: Amount | None = None
    free_move: bool | None = None
    penalty_pct: Pct | None = None
    penalty_amount: Amount | None = None
    wait_until: LocalTime | None = None
    pro_rata_amount: Amount | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whether a sender is who they claim to be, and the address on file for that person or booking."""

    verified: bool
    contact_on_file: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """A place on the waiting list."""

    waitlist_id: str
    behind: str | None


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """Free time of a vessel: a trip may lie anywhere in it."""

    vessel: str
    start: LocalTime
    end: LocalTime


@dataclass(frozen=True, slots=True)
class Conflict:
    """What is in the way: a booking, a hold or a block."""

    vessel: str
    start: LocalTime
    end: LocalTime
    why: str
    booking_id: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class SlotAnswer:
    """One slot that was asked about."""

    vessel: str
    start: LocalTime
    end: LocalTime
    available: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether every slot asked about is free, whether the party fits on each vessel, and what is free."""

    available: bool
    fits: bool
    slots: tuple[SlotAnswer, ...]
    conflicts: tuple[Conflict, ...]
    free_slots: tuple[FreeSlot, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A slot that is held."""

    hold_id: str
    vessel: str
    start: LocalTime
    end: LocalTime
    hold_expires: LocalTime


@dataclass(frozen=True, slots=True)
class Entered:
    """A firm calendar entry."""

    event_id: str
    vessel: str
    start: LocalTime
    end: LocalTime


@dataclass(frozen=True, slots=True)
class Released:
    """Whether a slot was freed."""

    released: bool


@dataclass(frozen=True, slots=True)
class Blocked:
    """A vessel that was closed, and what that touches."""

    block_id: str
    from_: Annotated[Day, Field(alias="from")]
    to: Day
    affected: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """Booking ids, blocks and free time in a range of days."""

    events: tuple[str, ...]
    blocks: tuple[Conflict, ...]
    free_slots: tuple[FreeSlot, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link to pay by."""

    pay_link: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class Recorded:
    """A payment that was booked, or was booked before."""

    recorded: bool
    duplicate: bool
    booking_id: str
    amount: Amount
    paid: Amount
    balance: Amount | None
    balance_due: Day | None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One booking's money; `expected` is what should have arrived by now."""

    booking_id: str
    expected: Amount | None
    paid: Amount
    balance: Amount | None
    balance_due: Day | None
    overdue: bool
    settled_in: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Whether what should have arrived did; the amounts only where one booking was asked about."""

    matched: bool
    rows: tuple[Reconciled, ...]
    paid: Amount | None = None
    balance: Amount | None = None
    balance_due: Day | None = None


@dataclass(frozen=True, slots=True)
class RefundAsked:
    """A refund request that waits for the operator."""

    refund_request_id: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money that was sent back."""

    refunded: bool
    amount: Amount


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A crew event, whom it asked, and how many places nobody accepted yet."""

    crew_event_id: str
    asked: tuple[str, ...]
    open_positions: int


@dataclass(frozen=True, slots=True)
class StoodDown:
    """People who were released."""

    released: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """Who was asked to come instead, and what follows for the trip."""

    asked: tuple[str, ...]
    accepted: tuple[str, ...]
    crew_change: str


@dataclass(frozen=True, slots=True)
class Reconfirmed:
    """Who was asked about new hours, with the answers so far."""

    asked: tuple[str, ...]
    accepted: tuple[str, ...]
    declined: tuple[str, ...]
    all_accepted: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went out."""

    message_id: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A page that is up."""

    page_link: str


@dataclass(frozen=True, slots=True)
class PageUpdated:
    """A page that shows the booking's times."""

    page_link: str
    start: LocalTime
    end: LocalTime


@dataclass(frozen=True, slots=True)
class PageWithdrawn:
    """A page that is down; page_link is the new secret one, where one was issued."""

    withdrawn: bool
    copies_gone: bool
    page_link: str | None = None


@dataclass(frozen=True, slots=True)
class Waivers:
    """Waiver links that went to the guest, and how many nobody signed yet."""

    waiver_links: tuple[str, ...]
    waivers_open: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A passenger list."""

    manifest_id: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Checklist:
    """The preparation list of a trip."""

    task_list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """What lies before the operator."""

    item_id: str
