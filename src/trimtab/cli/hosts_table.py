"""Hosts on a terminal: side by side, what differs in red; below each other where that does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab.cli.hosts_rows import Row, State
from trimtab.cli.rollout_words import clock, plain

_COLOURS: dict[State, str] = {"fine": "green", "drift": "bold red", "unknown": "bold red"}
_SAME = "same"
_ANY_WIDTH = 1000


def print_rows(out: Console, rows: Sequence[Row], now: datetime) -> None:
    """Print a table, its rows by group; `same` stands for the model that is wanted."""
    if not rows:
        out.print("there is nothing to show: no role has answered here, and the policy has no hosts")
        return
    table = _table(rows, now)
    if out.measure(table, options=out.options.update(width=_ANY_WIDTH)).maximum <= out.width:
        out.print(table)
    else:
        _print_below_each_other(out, rows, now)
    for row in rows:
        if row.why:
            where = " ".join(part for part in (row.host, row.role) if part)
            colour = "dim" if row.state == "fine" else "red"
            out.print(f"[{colour}]{escape(where)}: {escape(row.why)}[/]", soft_wrap=True)


def _table(rows: Sequence[Row], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "role", "wanted", "configured", "last answer", ""):
        table.add_column(name, no_wrap=True)
    for head, there in _groups(rows):
        table.add_row(f"[bold]{head[0]}[/]", f"[dim]{head[1]}[/]")
        shown = ""
        for row in there:
            cells = (_wanted(row), *_beside(row, now)) if row.role else ("", "", "")
            table.add_row("" if row.host == shown else f"  {escape(row.host)}", escape(row.role), *cells, _state(row))
            shown = row.host
    return table


def _print_below_each_other(out: Console, rows: Sequence[Row], now: datetime) -> None:
    for (group, environment), there in _groups(rows):
        out.print(f"[bold]{group}[/] [dim]{environment}[/]", soft_wrap=True)
        for row in there:
            head = f"  {escape(' '.join(part for part in (row.host, row.role) if part))}: {_state(row)}"
            if row.state == "fine":
                at = f", answered {clock(row.at, now)}" if row.at else "" if row.answered else ", no answer yet"
                out.print(f"{head}, {_wanted(row)}{at}", soft_wrap=True)
                continue
            out.print(head, soft_wrap=True)
            for name, cell in zip(
                ("wanted", "configured", "last answer"), (_wanted(row), *_beside(row, now)), strict=True
            ):
                if row.role:
                    out.print(f"    {name:<11}  {cell}", soft_wrap=True)


def _groups(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str], Iterator[Row]]]:
    return groupby(rows, lambda row: (escape(row.group), escape(row.environment)))


def _state(row: Row) -> str:
    return f"[{_COLOURS[row.state]}]{row.state}[/]"


def _wanted(row: Row) -> str:
    return escape(" or ".join(plain(model) for model in row.wanted)) or "[dim]not said[/]"


def _beside(row: Row, now: datetime) -> tuple[str, str]:
    at = f", {clock(row.at, now)}" if row.at and row.answered else ""
    return _model(row, ", ".join(plain(model) for model in row.configured)), _model(row, row.answered or "") + at


def _model(row: Row, model: str) -> str:
    wanted = [plain(one) for one in row.wanted]
    if not model:
        return "[dim]-[/]"
    if wanted == [model]:
        return f"[green]{_SAME}[/]"
    return f"[red]{escape(model)}[/]" if row.state == "drift" and model not in wanted else escape(model)
