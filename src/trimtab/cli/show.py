"""How runs look on a terminal and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab.cli.unfold import Unfolding
from trimtab.core.values import Json, dumps
from trimtab.journal.lines import RunDetail, RunLine

_COLOURS = {
    "completed": "green",
    "done": "green",
    "handed": "cyan",
    "failed": "red",
    "rejected": "red",
    "blocked": "red",
    "cancelled": "red",
    "needs_you": "bold red",
    "unknown": "bold red",
    "uncompensated": "bold red",
    "committed": "green",
    "compensated": "cyan",
    "released": "dim",
    "noted": "dim",
    "reserved": "blue",
    "running": "blue",
    "started": "blue",
    "waiting": "dim",
    "skipped": "dim",
    "planned": "dim",
}
SIMULATED = "simulated: no real model was asked"


def console(*, err: bool = False) -> Console:
    """Give a console that does not fold tables where nobody looks at them, and unfolds those a terminal is too narrow for."""
    stream = sys.stderr if err else sys.stdout
    return Unfolding(stderr=err, width=None if stream.isatty() else 180, highlight=False)


def print_json(value: object) -> None:
    """Print JSON on standard output; money as numbers, times as ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case _:
            return str(value)


def dollars(cost: Decimal | None) -> str:
    """Write money; a price that is not known is said to be so."""
    return "unknown" if cost is None else f"${cost:.4f}"


def coloured(word: str) -> str:
    """Give a state or status its colour."""
    return f"[{_COLOURS.get(word, 'yellow')}]{escape(word)}[/]"


def print_arguments(out: Console, arguments: Json) -> None:
    """Print what a call was made with, a line each; text as it is, all else as JSON."""
    named = arguments if isinstance(arguments, dict) else {"arguments": arguments}
    for name, value in named.items():
        out.print(f"  {escape(name)}: {escape(value if isinstance(value, str) else dumps(value))}", soft_wrap=True)


def moment(at: datetime) -> str:
    """Write a time as people here read it."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def runs_table(lines: Sequence[RunLine], width: int) -> Table:
    """List runs; what fits in `width` columns of a terminal, the rest by `runs show`."""
    left = [name for name, (_, fits) in _COLUMNS.items() if width >= fits]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in left:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=name != "key", overflow="fold")
    for line in lines:
        table.add_row(*(_COLUMNS[name][0](line) for name in left))
    return table


_NUMBERS = frozenset({"subtasks", "calls", "retries", "tokens", "cost"})
# How each column is written, and from how wide a terminal on it is shown.
_COLUMNS: Mapping[str, tuple[Callable[[RunLine], str], int]] = {
    "run": (lambda line: line.run_id, 0),
    "key": (lambda line: escape(line.key), 0),
    "workflow": (lambda line: escape(line.workflow), 100),
    "status": (lambda line: coloured(line.status), 0),
    "subtasks": (lambda line: f"{line.subtasks_done}/{line.subtasks_total}", 0),
    "calls": (lambda line: f"{line.model_calls}", 120),
    "retries": (lambda line: f"{line.retries}", 120),
    "tokens": (lambda line: f"{line.tokens:,}", 120),
    "cost": (lambda line: dollars(line.cost) + (" sim" if line.simulated else ""), 0),
    "accepted": (lambda line: f"{line.accepted_at.astimezone():%Y-%m-%d %H:%M:%S}", 100),
}


def detail_json(detail: RunDetail) -> dict[str, Any]:
    """Give everything known of a run."""
    line = asdict(detail.line)
    rest = {k: v for k, v in asdict(detail).items() if k != "line"}
    return {**line, **rest, "outcome": asdict(detail.outcome) if detail.outcome else None}
