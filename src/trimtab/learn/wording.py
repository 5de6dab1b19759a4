"""A comparison in words and written figures, for a terminal and for a page."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.learn.comparison import Comparison
    from trimtab.learn.intervals import Interval
    from trimtab.learn.spending import Spent


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the table of measures, written out; what cannot be told is empty."""

    name: str
    control: str
    treatment: str
    change: str
    interval: str
    e_value: str


def measures(compared: Comparison) -> list[Measure]:
    """Write the goal, the guardrails, cost and latency."""
    effects = {"success": (compared.successes, compared.effect)}
    effects |= {name: (found.shares, found.effect) for name, found in compared.must_not.items()}
    lines = [
        Measure(name, f"{shares[0]:.1%}", f"{shares[1]:.1%}", *_points(effect.interval), figure(effect.e_value))
        for name, (shares, effect) in effects.items()
    ]
    for name, spent, unit in (("cost per success", compared.cost, "$"), ("typical latency", compared.latency, "")):
        if spent is not None:
            lines.append(Measure(name, *_spent(spent, unit), ""))
    return lines


def arithmetic(compared: Comparison) -> list[str]:
    """Say what the figures rest on, a sentence a line."""
    table = compared.discordance
    runs = f"{compared.n[0]:,} and {compared.n[1]:,} runs with a known outcome"
    lines = [f"{runs}, not paired"]
    if table:
        tied = f", {table.tied} tied" if table.tied else ""
        pairs = f"{compared.n_pairs:,} pairs: {table.fixed} fixed, {table.broken} broken"
        lines = [f"{runs}; {pairs}, {table.both} right in both, {table.neither} in neither{tied}"]
    rests = compared.effect.planned.rests if compared.effect.planned else "the e-value"
    lines.append(
        f"{compared.test}: p = {compared.p_value:.3g}, for one look at a size fixed before; the verdict rests on {rests}"
    )
    if compared.fixed_interval:
        low, high = (f"{end * 100:+.1f}" for end in (compared.fixed_interval.low, compared.fixed_interval.high))
        lines[-1] += f"; the interval of that one look is {low} to {high} points (Tango)"
    srm = "" if table else f"; sample ratio: e-value {figure(compared.srm_e_value)}"
    shares = compared.verdict.shares
    decides = "" if compared.effect.planned else f"; an e-value decides the goal at {1 / shares.goal:.4g}"
    lines.append(f"{shares.text}{decides}{srm}")
    return lines


def figure(value: float) -> str:
    """Write an e-value."""
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"  # noqa: PLR2004  # three digits, no exponent where one can do without


def percent(log_ratio: float) -> str:
    """Write a log ratio as a change in percent."""
    return f"{expm1(min(log_ratio, 50.0)) * 100:+.1f} %" if isfinite(log_ratio) else "unbounded"


def _points(interval: Interval) -> tuple[str, str]:
    return f"{interval.estimate * 100:+.1f} points", f"{interval.low * 100:+.1f} to {interval.high * 100:+.1f}"


def _spent(spent: Spent, unit: str) -> tuple[str, str, str, str]:
    told = [("unknown" if value is None else f"{unit}{value:.4g}") for value in (spent.control, spent.treatment)]
    ratio = spent.ratio
    if ratio is None:
        return told[0], told[1], "", ""
    return told[0], told[1], percent(ratio.estimate), f"{percent(ratio.low)} to {percent(ratio.high)}"
