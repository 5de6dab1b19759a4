"""How runs look on a terminal and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from trimtab.core.records import ModelCallFact
from trimtab.core.usage import add_costs
from trimtab.journal.detail import tokens
from trimtab.journal.lines import ModelUse, RunDetail, RunLine, SubtaskLine

_COLOURS = {
    "completed": "green",
    "done": "green",
    "handed": "cyan",
    "failed": "red",
    "rejected": "red",
    "blocked": "red",
    "cancelled": "red",
    "running": "blue",
    "started": "blue",
    "waiting": "dim",
    "skipped": "dim",
    "planned": "dim",
}
SIMULATED = "simulated: no real model was asked"


def console(*, err: bool = False) -> Console:
    """Give a console that does not fold tables where nobody looks at them."""
    stream = sys.stderr if err else sys.stdout
    return Console(stderr=err, width=None if stream.isatty() else 180, highlight=False)


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


def runs_table(lines: Sequence[RunLine]) -> Table:
    """List runs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("run", "left"), ("key", "left"), ("workflow", "left"), ("status", "left"), ("subtasks", "right"),
        ("calls", "right"), ("retries", "right"), ("tokens", "right"), ("cost", "right"), ("accepted", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=name != "key")  # pyright: ignore[reportArgumentType]
    for line in lines:
        table.add_row(
            line.run_id,
            escape(line.key),
            escape(line.workflow),
            coloured(line.status),
            f"{line.subtasks_done}/{line.subtasks_total}",
            f"{line.model_calls}",
            f"{line.retries}",
            f"{line.tokens:,}",
            dollars(line.cost) + (" sim" if line.simulated else ""),
            f"{line.accepted_at.astimezone():%Y-%m-%d %H:%M:%S}",
        )
    return table


def detail_json(detail: RunDetail) -> dict[str, Any]:
    """Give everything known of a run."""
    line = asdict(detail.line)
    rest = {k: v for k, v in asdict(detail).items() if k != "line"}
    return {**line, **rest, "outcome": asdict(detail.outcome) if detail.outcome else None}


def run_tree(detail: RunDetail) -> Tree:
    """Draw a run: its head, the orchestrator's part, and the plan; a subtask hangs under the last of its needs."""
    line = detail.line
    head = f"[bold]{escape(line.workflow)}[/] {line.run_id}  {coloured(line.status)}"
    tree = Tree(head + (f"  [yellow]{SIMULATED}[/]" if line.simulated else ""))
    ended = f", ended {line.ended_at.astimezone():%H:%M:%S}" if line.ended_at else ""
    accepted = f"accepted {line.accepted_at.astimezone():%Y-%m-%d %H:%M:%S}{ended}"
    tree.add(f"[dim]key {escape(line.key)}, environment {escape(line.environment)}, {accepted}[/]")
    tree.add(f"{line.model_calls} model calls, {line.retries} retries, {line.tokens:,} tokens, {dollars(line.cost)}")
    _own_part(tree, detail)
    places: dict[str, Tree] = {}
    order = {subtask.id: place for place, subtask in enumerate(detail.subtasks)}
    for subtask in detail.subtasks:
        parents = [n for n in subtask.needs if n in places]
        parent = places[max(parents, key=order.__getitem__)] if parents else tree
        places[subtask.id] = parent.add(_subtask(subtask))
    if detail.outcome and detail.outcome.reason:
        error = f"{detail.outcome.error}: " if detail.outcome.error else ""
        tree.add(f"[bold]because[/] {escape(error + detail.outcome.reason)}")
    return tree


def _own_part(tree: Tree, detail: RunDetail) -> None:
    if not detail.own_calls:
        return
    models = ", ".join(_uses_of(detail.own_calls))
    spent = sum(tokens(c) for c in detail.own_calls)
    cost = dollars(add_costs(c.cost for c in detail.own_calls))
    part = tree.add(f"[bold]orchestrator[/]  {len(detail.own_calls)} calls  [dim]{models}[/]  {spent:,} tokens  {cost}")
    for plan in detail.plans:
        if plan.faults:
            faulty = part.add(f"plan {plan.number + 1} was refused")
            for fault in plan.faults if isinstance(plan.faults, list) else []:
                faulty.add(escape(str(fault)))


def _uses_of(calls: Sequence[ModelCallFact]) -> list[str]:
    return sorted({_use(c.requested_model, c.response_model) for c in calls})


def _use(requested: str, response: str | None) -> str:
    # The name the response carries is the proof; where it is another one, both are shown.
    name = requested.partition(":")[2]
    return name if response in (None, name) else f"{name} -> {response}"


def _subtask(subtask: SubtaskLine) -> str:
    needs = f" [dim]needs {', '.join(subtask.needs)}[/]" if len(subtask.needs) > 1 else ""
    parts = [
        f"[bold]{escape(subtask.id)}[/] {escape(subtask.specialist)}.{escape(subtask.action)}{needs}",
        coloured(subtask.state),
    ]
    if subtask.attempts:
        attempts = subtask.retries + 1
        parts += [
            f"{attempts} attempt{'s' if attempts > 1 else ''}",
            f"[dim]{', '.join(map(_asked, subtask.models))}[/]",
        ]
        parts += [f"{subtask.tokens:,} tokens", dollars(subtask.cost)]
    if subtask.status:
        parts.append(coloured(subtask.status))
    if subtask.reason:
        parts.append(f"[dim]{escape(subtask.reason)}[/]")
    return "  ".join(parts)


def _asked(use: ModelUse) -> str:
    return _use(use.requested, use.responses[0] if len(use.responses) == 1 else ", ".join(use.responses) or None)
