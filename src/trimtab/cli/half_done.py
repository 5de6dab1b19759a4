"""`trimtab runs list --half-done`: on one screen, what stands that should not, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from trimtab.cli.advice import Where, about_half_done
from trimtab.cli.show import coloured, moment
from trimtab.cli.tree import print_advice
from trimtab.core.records import EffectFact
from trimtab.journal.lines import HalfDone


def half_done_json(half: HalfDone, where: Where) -> dict[str, Any]:
    """Give one run with what stands, what was taken back, and what to do."""
    rest = {name: value for name, value in asdict(half).items() if name != "line"}
    return {**asdict(half.line), **rest, "to_do": [asdict(given) for given in about_half_done(half, where)]}


def print_half_done(out: Console, found: Sequence[HalfDone], where: Where) -> None:
    """Print every run as a block of its own."""
    for half in found:
        line = half.line
        out.print(f"[bold]{escape(line.workflow)}[/] {line.run_id}  {escape(line.key)}  {coloured(line.status)}")
        if half.reason:
            out.print(Padding(f"[dim]because[/] {escape(half.reason)}", (0, 0, 0, 2), expand=False))
        out.print(Padding(_table(half), (0, 0, 0, 2), expand=False))
        print_advice(out, about_half_done(half, where), "  ")
        out.print()


def _table(half: HalfDone) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for what, effects in (("stands", half.stands), ("taken back", half.taken_back)):
        for effect in effects:
            table.add_row(what, *_cells(effect))
    return table


def _cells(effect: EffectFact) -> tuple[str, ...]:
    call = f"{escape(effect.role)}.{escape(effect.tool)}"
    by = f"[dim]by {escape(effect.by)}[/]" if effect.by else ""
    return f"[bold]{escape(effect.subtask)}[/]", call, coloured(effect.state), f"since {moment(effect.at)}", by
