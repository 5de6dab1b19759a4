"""A report of costs on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from rich.markup import escape
from rich.table import Table

from trimtab.cli.show import SIMULATED, console
from trimtab.learn.amounts import money

Figures: TypeAlias = Mapping[str, Any]
_SMALL = Decimal("0.001")  # four digits behind the point would leave little of less
_NOT_KNOWN = {"arm": "in no experiment", "host": "not recorded"}


def print_report(told: Mapping[str, Any], first: date | None, last: date | None) -> None:
    """Print a line for each group and one for all, real calls and simulated ones apart; `first`, `last`: days with calls."""
    out = console()
    sections = [(told, ""), (told["simulated"], f"[yellow]{SIMULATED}[/]; dollars are what the real ones would cost")]
    shown = [(section, title) for section, title in sections if section["total"]["calls"]]
    out.print(escape(_heading(told, *((first, last) if shown else (None, None)))), soft_wrap=True)
    if not shown:
        out.print(_nothing(first, last))
    for section, title in shown:
        out.print()
        if title:
            out.print(title, soft_wrap=True)
        out.print(_table(told["by"], section, out.width))
    for warning in told["warnings"]:
        out.print(f"[bold red]warning:[/] {escape(warning)}", soft_wrap=True)


def _heading(told: Mapping[str, Any], first: date | None, last: date | None) -> str:
    ends = (("from", told["since"] or first), ("to", told["until"] or last))
    days = " ".join(f"{word} {day}" for word, day in ends if day is not None)
    return f"{told['environment'] or 'all environments'}{f', {days} (UTC days)' if days else ''}"


def _nothing(first: date | None, last: date | None) -> str:
    if first is None:
        return "no model was called yet"
    return f"no model was called then; the store has calls from {first} to {last}"


def _table(by: Sequence[str], section: Mapping[str, Any], width: int) -> Table:
    columns = [(name, cell) for name, (cell, fits) in _COLUMNS.items() if width >= fits + 15 * max(len(by) - 1, 0)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in by or [""]:
        table.add_column(name, overflow="fold")
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for group in section["groups"] if by else ():
        names = [group[name] if group[name] is not None else f"[dim]{_NOT_KNOWN.get(name, '-')}[/]" for name in by]
        shown = [escape(name) if group[key] is not None else name for key, name in zip(by, names, strict=True)]
        table.add_row(*shown, *(cell(group) for _, cell in columns))
    blank = [""] * (len(by) - 1)
    table.add_row("all", *blank, *(cell(section["total"]) for _, cell in columns), style="bold")
    return table


def _usd(name: str) -> Callable[[Figures], str]:
    """Write an amount that is a lower bound where a call has no known price."""
    return lambda group: _least(group, group[name])


def _least(group: Figures, amount: Decimal | None) -> str:
    if amount is None:
        return "-"
    bound = ">=" if group["unpriced_calls"] else ""
    return f"{bound}{_dollars(amount)}"


def _dollars(amount: Decimal) -> str:
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if size < _SMALL:
        return money(amount)
    return f"{sign}${size:,.2f}" if size >= 1 or not size else f"{sign}${size:,.4f}"


def _share(group: Figures) -> str:
    share: Decimal | None = group["share_wasted"]
    if share is not None:
        return f"{share:.1%}"
    return "unknown" if group["unpriced_calls"] else "-"


def _tokens(*kinds: str) -> Callable[[Figures], str]:
    return lambda group: f"{sum(group['tokens'][kind] for kind in kinds):,}"


def _saved(group: Figures) -> str:
    saved: Decimal | None = group["usd_cache_saved"]
    return "unknown" if saved is None else _dollars(saved)


# How each column is written, and from how wide a terminal on it is shown; two groups take more room than one.
_COLUMNS: Mapping[str, tuple[Callable[[Figures], str], int]] = {
    "runs": (lambda group: f"{group['runs']:,}", 0),
    "successes": (lambda group: f"{group['successful_runs']:,}", 100),
    "calls": (lambda group: f"{group['calls']:,}", 70),
    "input": (_tokens("input"), 150),
    "output": (_tokens("output"), 150),
    "cache read": (_tokens("cache_read"), 170),
    "cache written": (_tokens("cache_write_5m", "cache_write_1h"), 170),
    "dollars": (_usd("usd_known"), 0),
    "a success": (_usd("usd_per_success_known"), 0),
    "wasted": (_share, 0),
    "failed": (_usd("usd_failed"), 110),
    "retried": (_usd("usd_retried"), 110),
    "abandoned": (_usd("usd_abandoned"), 110),
    "cache saved": (_saved, 110),
}
