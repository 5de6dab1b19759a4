"""Advice in words, as JSON and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.cost_advise_found import Advised
from trimtab.cli.show import console
from trimtab.learn.amounts import money
from trimtab.learn.intervals import BURN_IN
from trimtab.learn.portfolio import Choice

HEADS = ("", "dollars a month", "against now", "success", "gain", "changes")
_SHOWN = 8
_ASSUMED = (
    "effects are added up: that two changes help or harm each other is not in them (a factorial experiment measures each on average over the others)",
    "the roles' recorded tokens are priced on each model: another one may use more or fewer, retries included",
    "what was not measured is not known: it is never taken to be nothing, and never advised",
)


def success_of(found: Advised, choice: Choice) -> tuple[float, float, float] | None:
    """Give the share of runs that would succeed and its interval; None while that of the map as it is is not known."""
    now = found.success
    if not isfinite(now.low):
        return None
    ends = (now.estimate + choice.gain, now.low + choice.low, now.high + choice.high)
    low, high = max(0.0, ends[1]), min(1.0, ends[2])
    return min(1.0, max(0.0, ends[0])), low, high


def rows(found: Advised) -> list[tuple[str, ...]]:
    """Write every choice, in the columns of `HEADS`; the map as it is stands first where another beats it."""
    return [_row(found, choice) for choice in shown(found)]


def shown(found: Advised) -> Sequence[Choice]:
    """Give the choices, and the map as it is."""
    as_it_is = [] if any(not choice.changes for choice in found.choices) else [Choice()]
    return [*as_it_is, *found.choices]


def _row(found: Advised, choice: Choice) -> tuple[str, ...]:
    success = success_of(found, choice)
    share = f"{success[0]:.1%} ({success[1]:.1%} to {success[2]:.1%})" if success else "unknown"
    gain = f"{choice.gain * 100:+.1f} ({choice.low * 100:+.1f} to {choice.high * 100:+.1f})" if choice.changes else "-"
    changes = "; ".join(change.text for change in choice.changes) or "as it is"
    mark = "->" if choice is found.chosen else ""
    return mark, money(found.usd + choice.usd), money(choice.usd, sign=True), share, gain, changes


def verdict(found: Advised) -> str:
    """Say what is advised, or why nothing is."""
    cap, floor = money(found.asked.cap), found.asked.floor
    chosen = found.chosen
    if chosen is not None:
        what = "; ".join(change.text for change in chosen.changes) or "leave the roles as they are"
        return f"advised: {what}: {money(found.usd + chosen.usd)} a month, the cap is {cap}"
    least = found.usd + found.choices[0].usd
    if least > found.asked.cap:
        return f"nothing that was measured brings it under the cap of {cap}: the cheapest is {money(least)} a month; measure what is named below"
    said = f"under the cap of {cap} nothing is known to hold the floor of {floor or Decimal(0):.1%}"
    if not isfinite(found.success.low):
        return f"{said}: too few runs stand on the map as it is, at least {BURN_IN} are needed to know how often it succeeds"
    if found.hopeful is None:
        return f"{said}, nor would by the estimates"
    what = "; ".join(change.text for change in found.hopeful.changes) or "the map as it is"
    return f"{said}; by the estimates this would: {what}. More runs can show it"


def as_told(found: Advised) -> dict[str, Any]:
    """Give it as JSON; dollars a month, gains in shares of runs."""
    now = found.success
    return {
        "environment": found.environment,
        "cap": found.asked.cap,
        "floor": found.asked.floor,
        "verdict": verdict(found),
        "now": {
            "roles": dict(found.current),
            "usd_per_month": found.usd,
            "runs_per_month": found.runs_a_month,
            "success": _number(now.estimate),
            "success_interval": [_number(now.low), _number(now.high)],
        },
        "chosen": found.chosen and _choice(found, found.chosen),
        "hopeful": found.hopeful and _choice(found, found.hopeful),
        "choices": [_choice(found, choice) for choice in found.choices],
        "measured": [
            {
                "change": c.text,
                "usd_difference": c.usd,
                "gain": c.gain,
                "gain_interval": [c.low, c.high],
            }
            for c in found.measured
        ],
        "measure_next": [
            {
                "role": u.role,
                "from": u.before,
                "to": u.after,
                "usd_per_month": u.usd,
                "command": u.command,
            }
            for u in found.unknown
        ],
        "warnings": list(found.warnings),
        "assumed": list(_ASSUMED),
    }


def _choice(found: Advised, choice: Choice) -> dict[str, Any]:
    success = success_of(found, choice)
    return {
        "chosen": choice is found.chosen,
        "usd_per_month": found.usd + choice.usd,
        "usd_difference": choice.usd,
        "success": success and success[0],
        "success_interval": success and list(success[1:]),
        "gain": choice.gain,
        "gain_interval": [choice.low, choice.high],
        "changes": [change.text for change in choice.changes],
        "set": {role: model for change in choice.changes for role, model in change.models},
    }


def print_advised(found: Advised) -> None:
    """Print the choices, the one that is advised, and what is not known."""
    out = console()
    out.print(
        f"[bold]{escape(found.environment)}[/]: {found.runs_a_month:,.0f} runs and {money(found.usd)} a month of 30 days "
        f"on the map as it is",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEADS:
        table.add_column(name, justify="left" if name in ("", "changes") else "right", no_wrap=name != "changes")
    for row in rows(found):
        table.add_row(*map(escape, row), style="bold green" if row[0] else "")
    out.print(table)
    colour = "green" if found.chosen else "red"
    out.print(f"[bold {colour}]{escape(verdict(found))}[/]", soft_wrap=True)
    if found.chosen and found.chosen.changes:
        entries = [f'{role} = "{model}"' for change in found.chosen.changes for role, model in change.models]
        out.print(escape(f"  [{found.table}] of the policy: {', '.join(entries)}"), soft_wrap=True)
    for warning in found.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    _print_unknown(found)
    for line in _ASSUMED:
        out.print(escape(line), style="dim", soft_wrap=True)


def _print_unknown(found: Advised) -> None:
    out = console()
    for line in beaten_lines(found):
        out.print(f"in no choice: {escape(line)}", soft_wrap=True)
    if not found.unknown:
        return
    out.print("[bold]measure this next[/]: never measured, so not advised; what it would add a month, and the command")
    for line in unknown_lines(found)[:_SHOWN]:
        out.print(f"  {escape(line)}", soft_wrap=True)
    if len(found.unknown) > _SHOWN:
        out.print(f"  and {len(found.unknown) - _SHOWN} more: --json lists all")


def beaten_lines(found: Advised) -> Sequence[str]:
    """Write the measured changes that no choice makes: they are not known to gain anything, or others gain it for less."""
    made = {change for choice in found.choices for change in choice.changes}
    return [
        f"{c.text}: {money(c.usd, sign=True)} a month, {c.gain * 100:+.1f} points ({c.low * 100:+.1f} to {c.high * 100:+.1f})"
        for c in found.measured
        if c not in made
    ]


def unknown_lines(found: Advised) -> Sequence[str]:
    """Write what was not measured, what would save most first."""
    return [
        f"{u.role} to {u.after}: {'price unknown' if u.usd is None else money(u.usd, sign=True)}: {u.command}"
        for u in found.unknown
    ]


def _number(amount: float) -> float | None:
    return amount if isfinite(amount) else None
