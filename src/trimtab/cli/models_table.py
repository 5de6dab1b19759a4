"""Models on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.show import console
from trimtab.core.usage import Usage
from trimtab.models.catalogue import Catalogue
from trimtab.models.prices import KINDS, Model, PriceRow, Rates

_HEADS = ("input", "output", "cache read", "5m write", "1h write")
CALLS = 1000
_PLAIN = Usage(input=15_000, output=1_000)
_CACHED = Usage(input=2_000, cache_read=13_000, output=1_000)


def list_json(models: Sequence[Model], on: date, catalogue: Catalogue) -> dict[str, Any]:
    """Give models with the prices in force; a price that is not known is null."""
    return {"prices": catalogue.version, "on": on, "models": [_listed(model, on) for model in models]}


def _listed(model: Model, on: date) -> dict[str, Any]:
    row = model.on(on)
    return {
        "model": model.id,
        **_rates_json(row.base if row else Rates()),
        "tiers": _tiers_json(row),
        "context": model.context,
        "batch": model.batch,
        "fast": _fast(model, on),
        "retires": model.retires,
        "retired": _is_retired(model, on),
        "source": row.source if row else None,
    }


def print_list(models: Sequence[Model], on: date, catalogue: Catalogue) -> None:
    """List models, those that answer no more dimmed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("model", *_HEADS, "context", "dearer over", "retires"):
        table.add_column(head, justify="left" if head == "model" else "right", no_wrap=True)
    for model in models:
        row = model.on(on)
        tiers = ", ".join(_tokens(tier.over) for tier in row.tiers[1:]) if row else ""
        rates = [_price(getattr(row.base if row else Rates(), kind)) for kind in KINDS]
        style = "dim" if _is_retired(model, on) else None
        ends = str(model.retires or "-") + (" (retired)" if _is_retired(model, on) else "")
        table.add_row(escape(model.id), *rates, _tokens(model.context), tiers or "-", ends, style=style)
    out = console()
    out.print(f"dollars per million tokens on {on}; {catalogue.version}", soft_wrap=True)
    out.print(table)


def model_json(asked: str, on: date, catalogue: Catalogue) -> dict[str, Any]:
    """Give all that is known of one model."""
    model = catalogue.model(asked)
    assert model is not None
    naming = catalogue.naming(asked)
    return {
        "model": asked,
        "listed_as": model.id,
        "on": on,
        "naming": {"kind": naming.kind, "means": list(naming.means)},
        "aliases": catalogue.aliases(asked),
        "prices": [
            {
                "from": row.since,
                "until": row.until,
                "in_force": row.holds(on),
                **_rates_json(row.base),
                "tiers": _tiers_json(row),
                "source": row.source,
            }
            for row in model.rows
        ],
        "context": model.context,
        "retires": model.retires,
        "retired": _is_retired(model, on),
        "batch": model.batch,
        "fast": _fast(model, on),
        "fast_until": model.fast_until,
        "day_cost": {"calls": CALLS, "uncached": day_cost(model, on, _PLAIN), "cached": day_cost(model, on, _CACHED)},
        "note": model.note,
        "sources": dict(model.sources),
        "price_list": catalogue.version,
    }


def day_cost(model: Model, on: date, usage: Usage) -> Decimal | None:
    """Give the dollars of a thousand equal calls on a day; None where a price of theirs is not known."""
    row = model.on(on)
    cost = row.cost(usage) if row else None
    return None if cost is None else cost * CALLS


def print_model(asked: str, on: date, catalogue: Catalogue) -> None:
    """Show all that is known of one model."""
    model, naming = catalogue.model(asked), catalogue.naming(asked)
    assert model is not None
    out = console()
    listed = "" if model.id == asked else f", listed as {model.id}"
    out.print(f"[bold]{escape(asked)}[/]{escape(listed)}", soft_wrap=True)
    for line in _lines(asked, model, on, catalogue):
        out.print(f"  {escape(line)}", soft_wrap=True)
    if naming.kind == "alias":
        out.print(
            f"  an alias: {escape(' or '.join(naming.means) or 'what it means is not known')} today", soft_wrap=True
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("from", "until", "prompt", *_HEADS, "source"):
        table.add_column(head, justify="right" if head in _HEADS else "left", no_wrap=head != "source")
    for row in model.rows:
        for place, tier in enumerate(row.tiers):
            days = ("", "") if place else (str(row.since or "-"), str(row.until or "-"))
            prompt = f"over {tier.over:,}" if tier.over else "any" if len(row.tiers) == 1 else "up to the next"
            rates = [_price(getattr(tier.rates, kind)) for kind in KINDS]
            table.add_row(
                *days, prompt, *rates, "" if place else escape(row.source), style=None if row.holds(on) else "dim"
            )
    out.print("dollars per million tokens; in a tier, ALL tokens of the call have its price:")
    out.print(table)
    out.print(f"[dim]{escape(catalogue.version)}[/]", soft_wrap=True)


def _lines(asked: str, model: Model, on: date, catalogue: Catalogue) -> list[str]:
    plain, cached = day_cost(model, on, _PLAIN), day_cost(model, on, _CACHED)
    retires = f"{model.retires} ({_source(model, 'retires')})" if model.retires else "no date is known"
    lines = [
        (
            f"{CALLS:,} calls of 15,000 tokens in and 1,000 out on {on}: {_money(plain)}; with 13,000 of the 15,000 read from the"
            f" cache: {_money(cached)}"
        ),
        f"context: {_tokens(model.context)} tokens{_source(model, 'context', ' ({})')}",
        f"{'retired' if _is_retired(model, on) else 'retires'}: {retires}",
    ]
    if model.batch is not None:
        lines.append(f"in a batch: {model.batch:f} times the price{_source(model, 'batch', ' ({})')}")
    if model.fast is not None:
        ends = f", until {model.fast_until}" if model.fast_until else ""
        lines.append(f"in fast mode: {model.fast:f} times the price{ends}{_source(model, 'fast', ' ({})')}")
    if names := catalogue.aliases(asked):
        lines.append(f"also: {', '.join(names)}")
    return [*lines, f"note: {model.note}"] if model.note else lines


def _source(model: Model, figure: str, form: str = "{}") -> str:
    return form.format(model.sources[figure]) if figure in model.sources else ""


def _rates_json(rates: Rates) -> dict[str, Decimal | None]:
    return asdict(rates)


def _tiers_json(row: PriceRow | None) -> list[dict[str, Any]]:
    return [{"over": tier.over, **_rates_json(tier.rates)} for tier in row.tiers[1:]] if row else []


def _fast(model: Model, on: date) -> Decimal | None:
    return None if model.fast_until and model.fast_until < on else model.fast


def _is_retired(model: Model, on: date) -> bool:
    return model.retires is not None and model.retires <= on


def _price(price: Decimal | None) -> str:
    return "unknown" if price is None else f"{price:.2f}" if price == round(price, 2) else f"{price.normalize():f}"


def _money(cost: Decimal | None) -> str:
    return "unknown" if cost is None else f"${cost:,.2f}"


def _tokens(count: int | None) -> str:
    if count is None:
        return "unknown"
    for size, letter in ((1_000_000, "M"), (1000, "K")):
        if count >= size and count % (size // 100) == 0:
            return f"{Decimal(count) / size:f}{letter}"
    return f"{count:,}"
