"""What the catalogue knows of one model: price rows with their dates and tiers, context, retirement, and each figure's source.

Every source of prices (the library, trimtab's own file, a site's file) is read into `Said`; `merge` makes one `Model` of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from trimtab.core.usage import Usage

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens of each kind; None: not known."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal | None:
        """Give the dollars, or None where a kind that was used has no price."""
        total = Decimal(0)
        for kind in KINDS:
            tokens: int = getattr(usage, kind)
            if tokens:
                rate: Decimal | None = getattr(self, kind)
                if rate is None:
                    return None
                total += tokens * rate
        return total.scaleb(-6)


KINDS = tuple(kind.name for kind in fields(Rates))


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates that ALL tokens of a call have whose prompt is longer than `over` tokens."""

    over: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class PriceRow:
    """Prices from day `since` to day `until`, both included (None: without end). The first tier, over 0, is that of any prompt."""

    since: date | None
    until: date | None
    tiers: tuple[Tier, ...]
    source: str

    @property
    def base(self) -> Rates:
        """The rates of a short prompt."""
        return self.tiers[0].rates

    def holds(self, on: date) -> bool:
        """Whether the row is in force on a day."""
        return (self.since is None or self.since <= on) and (self.until is None or on <= self.until)

    def rates(self, prompt: int) -> Rates:
        """Give the rates of every token of a call, by the tokens of its whole prompt, cached or not."""
        reached = self.base
        for tier in self.tiers[1:]:
            if prompt > tier.over:
                reached = tier.rates
        return reached

    def cost(self, usage: Usage) -> Decimal | None:
        """Give the dollars of ONE call, or None where a price of it is not known."""
        return self.rates(usage.prompt).cost(usage)


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says of one model; None and an empty `rows`: it says nothing of it. The names are those of `Model`."""

    source: str
    rows: tuple[PriceRow, ...] = ()
    context: int | None = None
    retires: date | None = None
    releases: tuple[str, ...] = ()
    batch: Decimal | None = None
    fast: Decimal | None = None
    fast_until: date | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    id:         `provider:name`, the name being the one its prices are listed under.
    rows:       prices in the order of their days; on a day without a row the price is not known.
    context:    the most tokens a prompt may have.
    retires:    the day from which it no longer answers.
    releases:   the dated releases that the bare name may stand for, by name.
    batch:      what a batch costs, as a share of the price of single calls (0.5: half).
    fast:       what fast mode costs, as a multiple; `fast_until` is its last day.
    sources:    where each of these figures comes from, by field name; each price row has its own.
    """

    id: str
    rows: tuple[PriceRow, ...]
    context: int | None = None
    retires: date | None = None
    releases: tuple[str, ...] = ()
    batch: Decimal | None = None
    fast: Decimal | None = None
    fast_until: date | None = None
    note: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def on(self, day: date) -> PriceRow | None:
        """Give the prices in force on a day."""
        return next((row for row in self.rows if row.holds(day)), None)


FIGURES = ("context", "retires", "releases", "batch", "fast", "fast_until", "note")


def merge(id: str, said: Sequence[Said]) -> Model:  # noqa: A002 - it is the field's name
    """Make one model of what is said of it, the strongest source first: figure by figure, and for prices day by day."""
    figures = {
        name: next(((value, s.source) for s in said if (value := getattr(s, name)) not in (None, ())), None)
        for name in FIGURES
    }
    return Model(
        id=id,
        rows=tuple(_day_by_day([s.rows for s in said])),
        **{name: found[0] for name, found in figures.items() if found},
        sources={name: found[1] for name, found in figures.items() if found},
    )


def _day_by_day(layers: Sequence[Sequence[PriceRow]]) -> Iterator[PriceRow]:
    """Cut rows at every day on which one begins or ends; of each stretch the first layer that has a price tells it."""
    rows = [row for layer in layers for row in layer]
    begins = {row.since for row in rows if row.since} | {row.until + _DAY for row in rows if row.until}
    stretches = pairwise([None, *sorted(begins), None])
    pieces: list[PriceRow] = []
    for since, after in stretches:
        within = since or (after - _DAY if after else date.min)
        found = next((row for layer in layers for row in layer if row.holds(within)), None)
        until = after - _DAY if after else None
        if found is None:
            continue
        last = pieces[-1] if pieces else None
        if last and (last.tiers, last.source) == (found.tiers, found.source) and last.until == (since and since - _DAY):
            pieces[-1] = PriceRow(last.since, until, last.tiers, last.source)
        else:
            pieces.append(PriceRow(since, until, found.tiers, found.source))
    yield from pieces
