"""A measured break-even in words, as JSON and on a terminal."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Any

from rich.markup import escape
from rich.table import Table

from trimtab.cli.cost_breakeven_runs import Source
from trimtab.cli.show import console
from trimtab.learn.amounts import money
from trimtab.learn.breakeven import Range, hull
from trimtab.learn.intervals import BURN_IN, Interval
from trimtab.learn.payback import Payback, Side


def told(source: Source) -> dict[str, Any]:
    """Give it as JSON; where there is one comparison, its figures stand at the top, too."""
    compared = [_json(payback) for payback in source.paybacks]
    return {
        "control": source.control,
        "treatment": source.treatment,
        **(compared[0] if len(compared) == 1 else {}),
        "comparisons": compared,
        "warnings": list(source.warnings),
    }


def _json(payback: Payback) -> dict[str, Any]:
    open_ = hull(payback.losses)
    cheaper, estimate = payback.cheaper, payback.estimate
    return {
        "role": payback.role or None,
        "arms": {"control": _side(payback.control), "treatment": _side(payback.treatment)},
        "usd_difference": payback.dollars and payback.dollars.estimate,
        "usd_interval": _ends(payback.dollars),
        "success_difference": payback.success and payback.success.estimate,
        "success_interval": _ends(payback.success),
        "pays": estimate and estimate.pays,
        "v_star": estimate and estimate.at,
        "v_star_interval": open_ and [open_[0], _number(open_[1])],
        "bounded": bool(payback.losses) and (open_ is None or isfinite(open_[1])),
        "losses": [{"from": r.low, "to": _number(r.high), "treatment": r.known} for r in payback.losses],
        "level": payback.level,
        "cheaper": cheaper and cheaper[0],
        "dearer_per_success_below": cheaper and cheaper[1],
        "why_not": payback.why_not or None,
        "text": sentences(payback),
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "runs": side.runs,
        "usd_per_run": side.usd,
        "success": side.success,
        "usd_per_success": side.usd_per_success,
    }


def sentences(payback: Payback) -> list[str]:
    """Say what follows from the figures, the estimate first."""
    if payback.estimate is None or payback.dollars is None or payback.success is None:
        unpriced = any(side.runs and side.usd is None for side in (payback.control, payback.treatment))
        return [f"no break-even: {payback.why_not}{' (trimtab models check)' if unpriced else ''}"]
    dollars, success = _usd(payback.dollars.estimate, sign=True), f"{payback.success.estimate * 100:+.1f} points"
    lines = {
        "above": f"V* = {dollars} / {success} = {_usd(payback.estimate.at)}: as estimated, treatment pays where a failed run loses more",
        "below": f"V* = {dollars} / {success} = {_usd(payback.estimate.at)}: as estimated, treatment pays where a failed run loses less",
        "always": f"{dollars} a run and {success}: as estimated, treatment pays at any loss",
        "never": f"{dollars} a run and {success}: as estimated, treatment never pays",
        "same": "as estimated, both arms cost the same and succeed as often",
    }
    told_ = [lines[payback.estimate.pays], *_known(payback)]
    if payback.cheaper:
        arm, rate = payback.cheaper
        mine, other = (payback.control, payback.treatment) if arm == "control" else (payback.treatment, payback.control)
        told_.append(
            f"{arm} is dearer per success only where it succeeds less than "
            f"{other.success:.1%} x {_usd(mine.usd)} / {_usd(other.usd)} = {rate:.1%}; it succeeds {mine.success:.1%}"
        )
    return told_


def _known(payback: Payback) -> list[str]:
    losses, level = payback.losses, f"{payback.level:.4g}"
    if len(losses) == 1:
        only = {
            "pays": "known: treatment pays at any loss",
            "does not pay": "known: treatment never pays",
            "not known": "nothing is known of any loss yet: neither the dollars nor the success of the arms are told apart well enough",
        }
        runs = payback.control.runs + payback.treatment.runs
        few = f"; an interval is shown from {BURN_IN} runs on, there are {runs}" if runs < BURN_IN else ""
        return [only[losses[0].known] + few]
    told_ = [f"{_span(r)}: {'not known' if r.known == 'not known' else f'known, treatment {r.known}'}" for r in losses]
    if losses[-1].known == "not known":
        told_.append("the interval of V* has no upper end: the success difference is not known well enough")
    open_ = hull(losses)
    if open_ and isfinite(open_[1]):
        told_.insert(0, f"interval of V*: {_usd(open_[0])} to {_usd(open_[1])} (level {level}, whenever you look)")
    return told_


def _span(found: Range) -> str:
    if not isfinite(found.high):
        return f"a loss over {_usd(found.low)}"
    return f"a loss under {_usd(found.high)}" if not found.low else f"a loss of {_usd(found.low)} to {_usd(found.high)}"


def print_paybacks(source: Source) -> None:
    """Print the arms, what is known of every loss, and what it rests on."""
    out = console()
    out.print(
        f"[bold]control[/] {escape(source.control)}; [bold]treatment[/] {escape(source.treatment)}", soft_wrap=True
    )
    for payback in source.paybacks:
        if payback.role:
            out.print(f"\n[bold]{escape(payback.role)}[/]")
        out.print(_arms(payback))
        for line in sentences(payback):
            out.print(escape(line), soft_wrap=True)
    for warning in source.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)


def _arms(payback: Payback) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "runs", "dollars a run", "succeed", "dollars per success"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for name, side in (("control", payback.control), ("treatment", payback.treatment)):
        share = "unknown" if side.success is None else f"{side.success:.1%}"
        table.add_row(name, f"{side.runs:,}", _usd(side.usd), share, _usd(side.usd_per_success))
    if payback.dollars and payback.success:
        found = payback.success
        points = Interval(100 * found.estimate, 100 * found.low, 100 * found.high, found.level)
        table.add_row("difference", "", _interval(payback.dollars, "{:+.3g}"), _interval(points, "{:+.1f}"), "")
    return table


def _interval(found: Interval, form: str) -> str:
    ends = [form.format(end) if isfinite(end) else "unbounded" for end in (found.low, found.high)]
    return f"{form.format(found.estimate)} ({ends[0]} to {ends[1]})"


def _usd(amount: float | None, *, sign: bool = False) -> str:
    return "unknown" if amount is None else money(Decimal(repr(amount)), sign=sign)


def _ends(found: Interval | None) -> list[float | None] | None:
    return found and [_number(found.low), _number(found.high)]


def _number(amount: float) -> float | None:
    # JSON has no infinity.
    return amount if isfinite(amount) else None
