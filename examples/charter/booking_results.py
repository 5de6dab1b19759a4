"""What the booking actions return."""

from __future__ import annotations

from dataclasses import dataclass

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
