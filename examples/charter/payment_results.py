"""What the payment actions return."""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import Amount, Day


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
