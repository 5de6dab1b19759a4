"""An experiment in words and written figures, for a terminal, a page and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

from trimtab.learn.decide import Scale
from trimtab.learn.intervals import BURN_IN, Interval
from trimtab.learn.measure import Measured, Readout, Row
from trimtab.learn.metrics import MINUTES_PER_ASK, Metric, person_hours
from trimtab.learn.wording import figure, percent

HEADS = ("metric", "control", "treatment", "difference", "interval", "e-value", "limit")


@dataclass(frozen=True, slots=True)
class Line:
    """A metric written out; what cannot be told is empty. `part` is goal, guardrail or shown."""

    part: str
    cells: tuple[str, ...]


def lines(readout: Readout) -> list[Line]:
    """Write every metric, in the columns of `HEADS`."""
    return [Line(row.part, _cells(row)) for row in readout.rows]


def _cells(row: Row) -> tuple[str, ...]:
    name = row.metric.name
    limit = {"goal": f"goal, decides at {row.needed:.4g}", "guardrail": f"at most {row.limit}"}.get(row.part, "")
    if row.effect is None or row.e_value is None:
        return name, "", "", row.why_not, "", "", limit
    amounts = (written(row.metric, row.control), written(row.metric, row.treatment))
    low, high = change(row.effect.low, row.scale), change(row.effect.high, row.scale)
    # Before the interval has set in there are no ends to write.
    open_ended = not isfinite(row.effect.low) and not isfinite(row.effect.high)
    interval = f"from {BURN_IN} runs on" if open_ended and row.metric.kind != "quantile" else f"{low} to {high}"
    e_value = figure(row.e_value) if row.part != "shown" else ""
    return name, *amounts, change(row.effect.estimate, row.scale), interval, e_value, limit


def written(metric: Metric, amount: float) -> str:
    """Write a figure of one arm."""
    if isnan(amount):
        return "none"
    if not isfinite(amount):
        return "never ended"
    match metric.unit:
        case "%":
            return f"{amount:.1%}"
        case "$":
            return f"${amount:.4g}"
        case "s":
            return f"{amount:.4g} s"
        case _:
            return f"{amount:,.0f}" if metric.kind == "ratio" else f"{amount:.3g}"


def change(amount: float, scale: Scale) -> str:
    """Write a difference."""
    if not isfinite(amount):
        return "unknown" if isnan(amount) else "unbounded"
    match scale:
        case "points":
            return f"{amount * 100:+.1f} points"
        case "ratio":
            return percent(amount)
        case "amount":
            return f"{amount:+.3g}"


def arithmetic(measured: Measured, readout: Readout, minutes_per_ask: float = MINUTES_PER_ASK) -> list[str]:
    """Say what the figures rest on, a sentence a line."""
    cohort = measured.cohort
    told = [
        f"{readout.runs[0]:,} runs of control and {readout.runs[1]:,} of treatment counted, of {len(cohort.drawn):,}"
    ]
    if cohort.pending:
        first = cohort.pending[0]
        told[0] += (
            f"; {len(cohort.pending)} pending (the oldest, {first.run_id}, fails at {first.due:%Y-%m-%d %H:%M} UTC), "
            f"{cohort.behind} wait behind them to be counted in order"
        )
    if len({outcome.weight for outcome in cohort.counted}) > 1:
        told.append(
            "the weight was changed: each run counts by the inverse of the chance of its arm, and latencies are of the runs since the last change"
        )
    told.append(f"{measured.alpha_text}; sample ratio: e-value {figure(readout.srm_e_value)}")
    hours = [person_hours(asks, minutes_per_ask) for asks in readout.asks]
    told.append(
        f"people were asked {readout.asks[0]} and {readout.asks[1]} times: {hours[0]:.1f} and {hours[1]:.1f} hours at {minutes_per_ask:g} minutes each"
    )
    for role, (control, treatment) in readout.cascades.items():
        told.append(f"cascades that {role} began: {control} in control, {treatment} in treatment")
    if cohort.mismatched:
        pairs = sorted({f"{response} for {pinned}" for _, pinned, response in cohort.mismatched})
        told.append(f"answers of another model than the pinned one: {', '.join(pairs)}")
    if cohort.simulated:
        told.append("simulated: no real model was asked")
    return told


def as_json(measured: Measured, minutes_per_ask: float = MINUTES_PER_ASK) -> dict[str, Any]:
    """Give everything as JSON: of a factorial experiment, a comparison for each role."""
    cohort = measured.cohort
    return {
        "experiment": measured.spec.name,
        "environment": measured.spec.environment,
        "goal": measured.spec.goal,
        "alpha": measured.alpha,
        "alpha_split": measured.alpha_text,
        "runs": {
            "assigned": len(cohort.drawn),
            "counted": len(cohort.counted),
            "pending": [{"run_id": p.run_id, "arm": p.arm, "due": p.due} for p in cohort.pending],
            "behind": cohort.behind,
        },
        "mismatches": [{"run_id": r, "pinned": p, "response": m} for r, p, m in cohort.mismatched],
        "simulated": cohort.simulated,
        "comparisons": [_readout_json(readout, minutes_per_ask) for readout in measured.readouts],
    }


def _readout_json(readout: Readout, minutes_per_ask: float) -> dict[str, Any]:
    verdict = readout.verdict
    return {
        "role": readout.role or None,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "alarms": list(verdict.alarms),
        "n_control": readout.runs[0],
        "n_treatment": readout.runs[1],
        "srm_e_value": readout.srm_e_value,
        "metrics": {row.metric.name: _row_json(row) for row in readout.rows},
        "cascades": {role: {"control": c, "treatment": t} for role, (c, t) in readout.cascades.items()},
        "person_hours": [person_hours(asks, minutes_per_ask) for asks in readout.asks],
    }


def _row_json(row: Row) -> dict[str, Any]:
    told: Mapping[str, Any] = {
        "part": row.part,
        "control": _number(row.control),
        "treatment": _number(row.treatment),
        "scale": "log_ratio" if row.scale == "ratio" else "difference",
        "difference": row.effect and _number(row.effect.estimate),
        "interval": row.effect and _ends(row.effect),
        "level": row.effect and row.effect.level,
        "e_value": row.e_value,
        "needed": row.needed if row.part != "shown" else None,
        "limit": row.limit or None,
        "why_not": row.why_not or None,
    }
    return dict(told)


def _ends(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]


def _number(amount: float) -> float | None:
    # JSON has no infinity, and what is not known is no number.
    return amount if isfinite(amount) else None
