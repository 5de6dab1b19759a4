"""A comparison on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from trimtab.cli.show import console
from trimtab.learn.wording import arithmetic, measures

if TYPE_CHECKING:
    from trimtab.learn.comparison import Comparison

_COLOURS = {"ship": "green", "stop": "red", "undecided": "yellow"}


def print_comparison(compared: Comparison) -> None:
    """Print the verdict, a line for each measure, the arithmetic and the warnings."""
    out = console()
    word = compared.verdict.verdict
    out.print(f"[bold {_COLOURS[word]}]{word}[/]  {escape(compared.verdict.reason)}", soft_wrap=True)
    out.print()
    out.print(_measures(compared))
    out.print()
    for line in arithmetic(compared):
        out.print(escape(line), style="dim", soft_wrap=True)
    for warning in compared.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)


def _measures(compared: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    runs = compared.runs
    for name in (f"{runs.control} (control)", f"{runs.treatment} (treatment)", "change", "interval", "e-value"):
        table.add_column(escape(name), justify="right", no_wrap=True)
    for line in measures(compared):
        table.add_row(escape(line.name), line.control, line.treatment, line.change, line.interval, line.e_value)
    return table
