"""A forecast as JSON and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from trimtab.cli.show import console
from trimtab.core.usage import Usage
from trimtab.learn.amounts import money
from trimtab.learn.forecast import DAYS_A_MONTH, Forecast, given
from trimtab.learn.tariff import Tariff

if TYPE_CHECKING:
    from trimtab.cli.cost_models import PriceBook
    from trimtab.learn.resample import Band

LEVEL = 0.95
_UNSAID = (
    "the same tokens are priced on both models: the other one may need longer answers, more or fewer turns and retries",
    "what it really uses is measured by trimtab replay --set ROLE=MODEL --over last-30d, or by an experiment",
)


@dataclass(frozen=True, slots=True)
class Told:
    """A forecast and what to know of it. `rests_on` is empty where the numbers were given."""

    forecast: Forecast
    on: str
    tiers: Sequence[dict[str, Any]]
    unpriced: Sequence[str] = ()
    warnings: Sequence[str] = ()
    bands: Sequence[Band] = ()
    rests_on: dict[str, Any] = field(default_factory=dict[str, Any])

    def json(self) -> dict[str, Any]:
        """Give it as JSON; dollars a day unless they are called otherwise."""
        made = self.forecast
        named = dict(zip(("daily_control", "daily_treatment", "daily_difference"), self.bands, strict=False))
        return {
            "control": made.control,
            "treatment": made.treatment,
            "price_date": self.on,
            "daily_control": made.daily_control,
            "daily_treatment": made.daily_treatment,
            "daily_difference": made.daily_difference,
            "monthly_difference": made.monthly_difference,
            "days_a_month": DAYS_A_MONTH,
            **(
                {"interval": {name: [b.low, b.high] for name, b in named.items()}, "level": LEVEL} if self.bands else {}
            ),
            "lines": [
                {
                    "model": line.model,
                    "kind": line.kind,
                    "tier": line.tier,
                    "calls": line.calls,
                    "tokens": line.tokens,
                    "usd_per_mtok": line.usd_per_mtok,
                    "usd": line.usd,
                    "text": line.text,
                }
                for line in made.lines
            ],
            "tiers": list(self.tiers),
            "unpriced": list(self.unpriced),
            "warnings": list(self.warnings),
            **({"recorded": self.rests_on} if self.rests_on else {}),
            "not_known": list(_UNSAID),
        }


def from_numbers(book: PriceBook, models: tuple[str, str], calls: Decimal, usage: Usage) -> Told:
    """Forecast from given numbers."""
    tariffs = book.tariffs(models)
    made = given(calls, usage, *tariffs)
    unpriced = [f"{line.model} has no price for {line.kind}" for line in made.lines if line.usd is None]
    tiers = [tier(tariff, usage.prompt) for tariff in tariffs]
    cautions = [caution for tariff in tariffs for caution in book.cautions(tariff.model, usage.prompt)]
    return Told(made, str(book.on), tiers, unpriced, cautions)


def tier(tariff: Tariff, prompt: int) -> dict[str, Any]:
    """Say which price tier a prompt is in, and how far the next one is."""
    reached, following = tariff.tier(prompt), tariff.next_tier(prompt)
    return {
        "model": tariff.model,
        "prompt": prompt,
        "tier": reached,
        "next": following,
        "distance": None if following is None else following - prompt,
        "text": _tier_text(tariff, prompt, reached, following),
    }


def _tier_text(tariff: Tariff, prompt: int, reached: int, following: int | None) -> str:
    if len(tariff.starts) == 1:
        return f"{tariff.model}: one price at any length of the prompt"
    parts = [f"{tariff.model}: a prompt of {prompt:,} tokens"]
    if reached:
        parts.append(f"is over {reached:,}, so ALL its tokens have the prices of that tier{_times(tariff, 0, reached)}")
    if following is not None:
        parts.append(
            f"is {following - prompt:,} below the tier over {following:,}, "
            f"in which ALL its tokens have other prices{_times(tariff, reached, following)}"
        )
    return " ".join((parts[0], " and ".join(parts[1:])))


def _times(tariff: Tariff, low: int, high: int) -> str:
    one, two = tariff.price(low, "input"), tariff.price(high, "input")
    return f" ({(two / one).normalize():f} x for input)" if one and two else ""


def print_told(told: Told) -> None:
    """Print every sum, then what they come to."""
    out, made = console(), told.forecast
    if told.rests_on:
        _print_recorded(told)
    for place, (model, daily) in enumerate(
        ((made.control, made.daily_control), (made.treatment, made.daily_treatment))
    ):
        out.print(f"[bold]{escape(model)}[/]", soft_wrap=True)
        for line in made.of(place):
            out.print(f"  {escape(line.text)}", soft_wrap=True)
        out.print(f"  = {_money(daily)} a day{_band(told.bands, place)}", soft_wrap=True)
    before, after = made.daily_control, made.daily_treatment
    ratio = f" ({float(after / before):.3g} x)" if before and after else ""
    out.print(
        f"[bold]difference: {_money(made.daily_difference, sign=True)} a day[/]{ratio}{_band(told.bands, 2)}, "
        f"{_money(made.monthly_difference, sign=True)} in {DAYS_A_MONTH} days",
        soft_wrap=True,
    )
    for missing in told.unpriced:
        out.print(f"[bold red]unknown price:[/] {escape(missing)}", soft_wrap=True)
    for warning in told.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    for line in (*(t["text"] for t in told.tiers), f"prices of {told.on}", *_UNSAID):
        out.print(escape(line), style="dim", soft_wrap=True)


def _print_recorded(told: Told) -> None:
    rests = told.rests_on
    console().print(
        f"{rests['calls']:,} model calls of {rests['runs_priced']:,} runs accepted in {rests['days']:.1f} days, "
        f"at the prices of {told.on}; in brackets the {LEVEL:.0%} interval of the mean day (bootstrap of runs)",
        soft_wrap=True,
    )


def _band(bands: Sequence[Band], place: int) -> str:
    if not bands:
        return ""
    sign = place == 2  # noqa: PLR2004 - the third is the difference
    low, high = (money(Decimal(end), sign=sign) for end in (bands[place].low, bands[place].high))
    return f" ({low} to {high})"


def _money(amount: Decimal | None, *, sign: bool = False) -> str:
    return "unknown" if amount is None else money(amount, sign=sign)
