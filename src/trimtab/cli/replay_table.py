"""A replay on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.show import SIMULATED, console, dollars
from trimtab.learn.wording import arithmetic

if TYPE_CHECKING:
    from rich.console import Console

    from trimtab.replay.play import Played

_COLOURS = {"ship": "green", "stop": "red", "undecided": "yellow", "fixed": "green", "broken": "red"}
_CHANGES = 20


def print_replay(told: Mapping[str, Any], played: Played, *, pace: float | None) -> None:
    """Print the verdict, a column for each arm, what changed, the arithmetic, and where to look. `pace`: of the simulator."""
    out = console()
    word = told["verdict"]
    out.print(f"[bold {_COLOURS[word]}]{word}[/]  {escape(told['reason'])}\n", soft_wrap=True)
    out.print(_arms(told))
    _print_changes(told, out)
    _print_missed(told, out)
    out.print()
    compared = played.judged.compared
    for line in arithmetic(compared) if compared else ():
        out.print(escape(line), style="dim", soft_wrap=True)
    before = f", {told['runs_from_before']} of them from before" if told["runs_from_before"] else ""
    cap = f" of ${told['usd_cap']}" if told["usd_cap"] is not None else ""
    out.print(
        f"{told['n_requests_judged']} of {told['n_requests']} requests judged, {told['runs']} of {told['runs_planned']} runs made{before}; "
        f"{told['stopped']}; {dollars(told['usd_spent'])}{cap} at list prices",
        soft_wrap=True,
    )
    for warning in told["warnings"]:
        out.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    if pace is not None:
        out.print(f"[yellow]{SIMULATED}[/] (seed {told['seed']}); latencies run at {pace:g} of real time")
    out.print(f"look into one: trimtab runs show RUN --store {told['store']}", soft_wrap=True)


def _arms(told: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    arms = told["arms"].values()
    for name in told["arms"]:
        table.add_column(name, justify="right", no_wrap=True)
    rows = {
        "success": [_success(arm) for arm in arms],
        "runs": [f"{arm['runs']}" for arm in arms],
        "unanswerable": [f"{arm['unanswerable']}" for arm in arms],
        "dollars a run": [_dollars(arm["usd_per_run"]) for arm in arms],
        "dollars a success": [_dollars(arm["usd_per_success"]) for arm in arms],
        "tokens a run": [_number(arm["tokens_per_run"], "{:,.0f}") for arm in arms],
        "seconds p50 / p95": [
            f"{_number(a['latency_p50_s'], '{:.2f}')} / {_number(a['latency_p95_s'], '{:.2f}')}" for a in arms
        ],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    for role, models in _differ(told).items():
        table.add_row(f"[dim]{escape(role)}[/]", *(f"[dim]{escape(model)}[/]" for model in models))
    return table


def _differ(told: Mapping[str, Any]) -> dict[str, list[str]]:
    control, candidate = (arm["models"] for arm in told["arms"].values())
    return {role: [control[role], candidate[role]] for role in control if control[role] != candidate[role]}


def _success(arm: Mapping[str, Any]) -> str:
    if arm["success"] is None:
        return "unknown"
    low, high = arm["interval"]
    return f"{arm['success']:.1%} ({low * 100:.0f} to {high * 100:.0f})"


def _dollars(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${amount:.4f}"


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)


def _print_changes(told: Mapping[str, Any], out: Console) -> None:
    if not told["changed"]:
        return
    table = Table.grid(padding=(0, 2))
    for change in told["changed"][:_CHANGES]:
        kind = change["kind"]
        runs = f"control {change['control']}, candidate {change['candidate']}"
        table.add_row(
            escape(change["request"]), f"[{_COLOURS[kind]}]{kind}[/]", runs, f"[dim]{escape(change['why'])}[/]"
        )
    out.print("\n[bold]requests that changed[/]")
    out.print(table)
    if more := told["changed"][_CHANGES:]:
        out.print(f"and {len(more)} more: --json lists them")


def _print_missed(told: Mapping[str, Any], out: Console) -> None:
    missed = [(name, one) for name, arm in told["arms"].items() for one in arm["missed"]]
    if missed:
        out.print("\n[bold]unanswerable[/]: the run asked what nobody can answer; bounded in the verdict, not left out")
        for name, one in missed:
            out.print(f"  {escape(one['request'])} {name} {one['run_id']}: {escape(one['call'])}", soft_wrap=True)
