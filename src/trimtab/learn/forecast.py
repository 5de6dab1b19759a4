"""What calls cost on one model and would cost on another, taken apart so that every figure can be checked by hand.

A forecast puts two models' prices on the SAME tokens. It does not know that the other model may use other tokens or retry
differently: a paired replay or an experiment measures that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from trimtab.core.traffic import Traffic
from trimtab.core.usage import Usage
from trimtab.learn.amounts import count, money, price
from trimtab.learn.tariff import KINDS, MILLION, Tariff

DAYS_A_MONTH = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of tokens of one model: calls a day x tokens a call x price = dollars a day. None: the price is not known.

    `tier` is the prompt length above which these calls are (0: the first tier).
    """

    model: str
    kind: str
    tier: int
    calls: Decimal
    tokens: Decimal
    usd_per_mtok: Decimal | None
    usd: Decimal | None

    @property
    def text(self) -> str:
        """The sum, as a person checks it."""
        tier = f" (prompts over {self.tier:,} tokens)" if self.tier else ""
        total = count(self.calls * self.tokens)
        product = f"{count(self.calls)} calls a day x {count(self.tokens)} = {total} {KINDS[self.kind]}{tier}"
        if self.usd_per_mtok is None or self.usd is None:
            return f"{product}: the price is unknown"
        return f"{product} x {price(self.usd_per_mtok)} per million = {money(self.usd)} a day"


@dataclass(frozen=True, slots=True)
class Forecast:
    """Dollars a day of the same calls on two models. A figure is None where a price it needs is not known."""

    control: str
    treatment: str
    lines: tuple[Line, ...]

    @property
    def daily_control(self) -> Decimal | None:
        """Dollars a day as it is."""
        return self._sum(0)

    @property
    def daily_treatment(self) -> Decimal | None:
        """Dollars a day as it would be."""
        return self._sum(1)

    @property
    def daily_difference(self) -> Decimal | None:
        """Dollars a day that it would be more; less is negative."""
        before, after = self.daily_control, self.daily_treatment
        return None if before is None or after is None else after - before

    @property
    def monthly_difference(self) -> Decimal | None:
        """The difference of 30 days."""
        daily = self.daily_difference
        return None if daily is None else daily * DAYS_A_MONTH

    def of(self, place: int) -> tuple[Line, ...]:
        """Give the lines of one side, 0 or 1: a model may be compared with itself."""
        half = len(self.lines) // 2
        return self.lines[half:] if place else self.lines[:half]

    def _sum(self, place: int) -> Decimal | None:
        total = Decimal(0)
        for line in self.of(place):
            if line.usd is None:
                return None
            total += line.usd
        return total


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class Repricing:
    """Recorded calls at the prices of two models. Calls that cannot be priced on both count on neither side.

    unpriced: how many these are. longest: tokens of the longest prompt. runs: for each run its dollars on both models, for a
    band; they are told apart where what is added comes run by run.
    """

    control: Tariff
    treatment: Tariff
    calls: int = 0
    unpriced: int = 0
    longest: int = 0
    simulated: bool = False
    models: set[str] = field(default_factory=set[str])
    runs: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _sums: dict[int, _Sum] = field(default_factory=dict[int, _Sum])
    _run_id: str = ""

    def add(self, part: Traffic) -> None:
        """Count calls; brackets of prompt lengths begin where tiers of EITHER tariff begin."""
        self.models.add(part.model)
        self.longest, self.simulated = max(self.longest, part.longest), self.simulated or part.simulated
        tiers = ((tariff, tariff.tier(part.over + 1)) for tariff in (self.control, self.treatment))
        before, after = (tariff.cost(tier, part.usage) for tariff, tier in tiers)
        if before is None or after is None:
            self.unpriced += part.calls
            return
        self.calls += part.calls
        total = self._sums.setdefault(part.over, _Sum())
        total.calls, total.usage = total.calls + part.calls, total.usage + part.usage
        one, two = self.runs.pop() if self.runs and part.run_id == self._run_id else (0.0, 0.0)
        self.runs.append((one + float(before), two + float(after)))
        self._run_id = part.run_id

    def forecast(self, days: Decimal) -> Forecast:
        """Give what was added as a forecast; it was recorded within so many days."""
        lines = [line for tariff in (self.control, self.treatment) for line in _lines(tariff, self._sums, days)]
        return Forecast(self.control.model, self.treatment.model, tuple(lines))


def given(calls: Decimal, usage: Usage, control: Tariff, treatment: Tariff) -> Forecast:
    """Forecast so many calls a day that each use so many tokens."""
    lines = [
        _line(tariff, tariff.tier(usage.prompt), kind, calls, Decimal(tokens))
        for tariff in (control, treatment)
        for kind in KINDS
        if (tokens := getattr(usage, kind))
    ]
    return Forecast(control.model, treatment.model, tuple(lines))


def _lines(tariff: Tariff, sums: dict[int, _Sum], days: Decimal) -> Iterator[Line]:
    # Brackets are those of both models: what one model prices alike is told apart where the other does not.
    for over, found in sorted(sums.items()):
        for kind in KINDS:
            tokens: int = getattr(found.usage, kind)
            if tokens:
                yield _line(tariff, tariff.tier(over + 1), kind, found.calls / days, Decimal(tokens) / found.calls)


def _line(tariff: Tariff, tier: int, kind: str, calls: Decimal, tokens: Decimal) -> Line:
    per_mtok = tariff.price(tier, kind)
    usd = None if per_mtok is None else calls * tokens * per_mtok / MILLION
    return Line(tariff.model, kind, tier, calls, tokens, per_mtok, usd)
