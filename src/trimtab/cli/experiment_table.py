"""Experiments on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.show import console
from trimtab.policy.assign import is_as_declared
from trimtab.policy.experiment import spec_of

if TYPE_CHECKING:
    from trimtab.cli.experiment_found import Found
    from trimtab.core.moves import ExperimentFact
    from trimtab.learn.measure import Measured, Readout
    from trimtab.policy.spec import ExperimentSpec, Policy, RoleSpec

_COLOURS = {"ship": "green", "stop": "red", "undecided": "yellow"}
_STYLES = {"goal": "bold", "guardrail": "", "shown": "dim"}


def listed(policy: Policy, moves: Sequence[ExperimentFact]) -> list[dict[str, Any]]:
    """Give every experiment that the policy declares or the store knows; `state` also says where the two differ."""
    newest = {move.name: move for move in moves}
    return [_listed(policy, name, newest.get(name)) for name in sorted({*policy.experiments, *newest})]


def _listed(policy: Policy, name: str, move: ExperimentFact | None) -> dict[str, Any]:
    spec = policy.experiments.get(name) or (spec_of(name, move.declared, move.weight) if move else None)
    assert spec is not None
    state = "not started" if move is None else move.state
    if move and name not in policy.experiments:
        state += ", no longer declared"
    elif move and not is_as_declared(policy, spec, move):
        state += ", declared otherwise: no run is put into it"
    return {
        "name": name,
        "environment": spec.environment,
        "state": state,
        "weight": move.weight if move else spec.weight,
        "goal": spec.goal,
        "arms": arms_in_words(spec),
        "since": move.at if move else None,
        "by": move.by if move else None,
        "reason": move.reason if move else None,
    }


def print_list(rows: Sequence[Mapping[str, Any]], source: str) -> None:
    """Print a line for each."""
    out = console()
    if not rows:
        out.print(f"{source} declares no experiment, and none was started")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("experiment", "environment", "state", "weight", "goal", "treatment", "since", "by"):
        table.add_column(name, justify="right" if name == "weight" else "left")
    for row in rows:
        since = f"{row['since']:%Y-%m-%d %H:%M}" if row["since"] else "-"
        cells = (row["name"], row["environment"], row["state"], f"{row['weight'] * 100:.4g} %", row["goal"])
        table.add_row(*map(escape, (*cells, row["arms"], since, row["by"] or "-")))
    out.print(table)


def arms_in_words(spec: ExperimentSpec) -> str:
    """Say what each arm changes, or each factor."""
    if spec.factors:
        return f"each role for itself: {changes_in_words(spec.factors)}"
    return "; ".join(f"{arm}: {changes_in_words(changes)}" for arm, changes in spec.arms.items())


def changes_in_words(changes: Mapping[str, RoleSpec]) -> str:
    """Say what is different of each role."""
    told = [f"{role} {_entry(entry)}" for role, entry in sorted(changes.items())]
    return ", ".join(told) or "as the policy says"


def _entry(entry: RoleSpec) -> str:
    said = [
        entry.model,
        f"effort {entry.effort}" if entry.effort else None,
        f"max_tokens {entry.max_tokens}" if entry.max_tokens else None,
        f"escalates to {', '.join(entry.escalate)}" if entry.escalate else None,
        f"prompt {entry.prompt}" if entry.prompt else None,
    ]
    return " ".join(part for part in said if part)


def print_status(found: Found, measured: Measured, minutes_per_ask: float) -> None:
    """Print the verdict, the table and what it rests on; of a factorial experiment, for each role."""
    out, last = console(), found.moves[-1]
    spec = found.spec
    why = f": {last.reason}" if last.reason else ""
    out.print(
        f"[bold]{escape(spec.name)}[/] in {escape(spec.environment)}: {last.state} at {last.weight * 100:.4g} % since "
        f"{last.at:%Y-%m-%d %H:%M} UTC, by {escape(last.by)}{escape(why)}",
        soft_wrap=True,
    )
    out.print(escape(arms_in_words(spec)), style="dim", soft_wrap=True)
    for readout in measured.readouts:
        out.print()
        _print_readout(measured, readout, minutes_per_ask)


def _print_readout(measured: Measured, readout: Readout, minutes_per_ask: float) -> None:
    from trimtab.learn.standing import HEADS, arithmetic, lines

    out, verdict = console(), readout.verdict
    role = f"{escape(readout.role)}: " if readout.role else ""
    out.print(f"[bold {_COLOURS[verdict.verdict]}]{role}{verdict.verdict}[/]  {escape(verdict.reason)}", soft_wrap=True)
    for alarm in verdict.alarms:
        out.print(f"[bold red]alarm:[/] {escape(alarm)}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEADS:
        table.add_column(name, justify="left" if name in ("metric", "limit") else "right", no_wrap=True)
    for line in lines(readout):
        table.add_row(*map(escape, line.cells), style=_STYLES[line.part])
    out.print(table)
    for told in arithmetic(measured, readout, minutes_per_ask):
        out.print(escape(told), style="dim", soft_wrap=True)


def advice(measured: Measured) -> list[dict[str, Any]]:
    """Rank the roles: what each upgrade gains in the goal, and what it costs a run. Shown to help first, then by gain."""
    order = {"ship": 0, "undecided": 1, "stop": 2}
    ranked = sorted(measured.readouts, key=lambda r: (order[r.verdict.verdict], -_gain(r)))
    return [_advised(measured, readout) for readout in ranked]


def _gain(readout: Readout) -> float:
    effect = readout.goal.effect
    if effect is None or isnan(effect.estimate):
        return float("-inf")
    return effect.estimate if readout.goal.metric.more_is_better else -effect.estimate


def _advised(measured: Measured, readout: Readout) -> dict[str, Any]:
    from trimtab.learn.standing import change

    goal, dollars = readout.goal, readout.dollars
    entry = measured.spec.factors[readout.role]
    rows = {row.metric.name: row for row in readout.rows}
    success, spent = rows["decomposition_success"], rows["usd_per_success"]

    def told(effect: Any, scale: Any) -> str | None:
        if effect is None:
            return None
        ends = f"{change(effect.low, scale)} to {change(effect.high, scale)}"
        return f"{change(effect.estimate, scale)} ({ends})"

    return {
        "role": readout.role,
        "to": _entry(entry),
        "verdict": readout.verdict.verdict,
        "reason": readout.verdict.reason,
        "goal": goal.metric.name,
        "success": told(success.effect, success.scale),
        "usd_per_run": told(dollars, "amount"),
        "usd_per_success": told(spent.effect, spent.scale),
    }


def print_advice(found: Found, ranked: Sequence[Mapping[str, Any]]) -> None:
    """Print the ranking."""
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "role", "to", "verdict", "success", "dollars a run", "dollars per success"):
        table.add_column(name)
    for place, row in enumerate(ranked, 1):
        word = f"[{_COLOURS[row['verdict']]}]{row['verdict']}[/]"
        cells = [escape(row[key] or "unknown") for key in ("success", "usd_per_run", "usd_per_success")]
        table.add_row(f"{place}.", escape(row["role"]), escape(row["to"]), word, *cells)
    out.print(table)
    for row in ranked:
        out.print(f"{escape(row['role'])}: {escape(row['reason'])}", style="dim", soft_wrap=True)
    out.print(
        f"each role was drawn for itself: these are main effects, on the same runs ({escape(found.spec.name)})",
        style="dim",
        soft_wrap=True,
    )
