"""What the policy says for a booking and a case, today. Looks, never moves money."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from .money import ZERO, cents, percent
from .prices import duration
from .record import Booking
from .world import Policies

Case: TypeAlias = Literal["guest_cancel", "operator_cancel", "weather", "no_show", "service_issue"]
_ALL = Decimal(100)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows from a case; what does not apply is None."""

    days_before: int
    settled_in: str
    refund_pct: Decimal | None = None
    refund_amount: Decimal | None = None
    free_move: bool | None = None
    penalty_pct: Decimal | None = None
    penalty_amount: Decimal | None = None
    wait_until: datetime | None = None
    pro_rata_amount: Decimal | None = None


def rule(
    policies: Policies, booking: Booking, case: Case, now: datetime, *, refunded: Decimal, hours_lost: Decimal | None
) -> Ruling:
    """Apply the policy. `refunded` is what went back already; a claimed payment counts for nothing."""
    held = max(ZERO, booking.paid - refunded)
    ruling = Ruling(
        days_before=(booking.start.date() - now.date()).days, settled_in="marketplace" if booking.market else "direct"
    )
    match case:
        case "guest_cancel":
            return ruling if booking.market else _guest_cancel(policies, ruling, held, late=now >= booking.start)
        case "operator_cancel":
            return _operator_cancel(policies, ruling, booking, held)
        case "weather":
            return replace(ruling, free_move=True) if booking.market else _back(ruling, _ALL, held, free_move=True)
        case "no_show":
            minutes = policies.marketplace_no_show_minutes if booking.market else policies.no_show_minutes
            waited = replace(ruling, wait_until=booking.start + timedelta(minutes=minutes))
            return waited if booking.market else _back(waited, Decimal(0), held, free_move=False)
        case "service_issue":
            return replace(ruling, pro_rata_amount=_pro_rata(booking, hours_lost))


def _guest_cancel(policies: Policies, ruling: Ruling, held: Decimal, *, late: bool) -> Ruling:
    tier = next((t for t in policies.tiers if ruling.days_before >= t.days), None)
    if tier is None or late:
        return _back(ruling, Decimal(0), held, free_move=False)
    return _back(ruling, tier.refund_pct, held, free_move=tier.free_move)


def _operator_cancel(policies: Policies, ruling: Ruling, booking: Booking, held: Decimal) -> Ruling:
    if not booking.market:
        return _back(ruling, _ALL, held, free_move=None)
    pct = policies.penalty_pct if ruling.days_before <= policies.penalty_days else Decimal(0)
    return replace(ruling, penalty_pct=pct, penalty_amount=percent(booking.revenue or ZERO, pct))


def _pro_rata(booking: Booking, hours_lost: Decimal | None) -> Decimal | None:
    hours = duration(booking.start, booking.end)
    if hours_lost is None or booking.revenue is None or hours <= 0:
        return None
    return cents(booking.revenue * min(hours_lost, hours) / hours)


def _back(ruling: Ruling, pct: Decimal, held: Decimal, *, free_move: bool | None) -> Ruling:
    return replace(ruling, refund_pct=pct, refund_amount=percent(held, pct), free_move=free_move)
