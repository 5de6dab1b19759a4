"""Money: Decimal inside, rounded half up to cents; a JSON number outside, whole cents in the store."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


def cents(amount: Decimal) -> Decimal:
    """Round half up to cents."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def money(value: float | str | Decimal) -> Decimal:
    """Read an amount as JSON gives it."""
    return cents(Decimal(str(value)))


def percent(amount: Decimal, pct: Decimal) -> Decimal:
    """Take `pct` per cent of an amount."""
    return cents(amount * pct / 100)


def to_store(amount: Decimal | None) -> int | None:
    """Write an amount as whole cents."""
    return None if amount is None else int(cents(amount) * 100)


def from_store(value: int | None) -> Decimal | None:
    """Read an amount from whole cents."""
    return None if value is None else cents(Decimal(value) / 100)
