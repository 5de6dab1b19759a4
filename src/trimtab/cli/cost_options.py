"""What several commands of `trimtab cost` take: amounts, spans, and the store to read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import click

from trimtab.core.errors import UsageError
from trimtab.learn import amounts

_LONGEST = timedelta(days=36_500)


class Amount(click.ParamType[Decimal]):
    """Tokens, as 15000, 15,000 or 15k; `read` may be another reading of the text."""

    name = "n"

    def __init__(self, read: Callable[[str], Decimal] = amounts.read_amount, such_as: str = "15k") -> None:
        self.read = read
        self.such_as = such_as

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read it."""
        if isinstance(value, Decimal):
            return value
        try:
            return self.read(str(value))
        except ValueError:
            self.fail(f"{value!r}: expected such as {self.such_as}", param, ctx)


def dollars(text: str) -> Decimal:
    """Read $0.02 or 1,500. Raises ValueError."""
    try:
        amount = Decimal(amounts.without_commas(text.strip().removeprefix("$")))
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not amount.is_finite() or not 0 <= amount <= amounts.MOST:
        raise ValueError(text)
    return amount


def share(text: str) -> Decimal:
    """Read 0.78, 78% or 78. Raises ValueError."""
    amount = dollars(text.strip().removesuffix("%"))
    # 78 can only be meant as a percentage, 0.78 and 1 only as a share.
    found = amount / 100 if text.strip().endswith("%") or amount > 1 else amount
    if found > 1:
        raise ValueError(text)
    return found


def since(over: str) -> datetime:
    """Give the beginning of `last-30d`. Raises UsageError where it is no span."""
    from trimtab.replay.requests import is_span

    span = is_span(over)
    if span is None:
        raise UsageError(f"--over {over!r} is no span of time", hint="--over last-30d, or last-12h, last-90m")
    # No run is older, and thousands of years before now there is no date.
    return datetime.now(UTC) - min(span, _LONGEST)
