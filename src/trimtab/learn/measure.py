"""From the runs of an experiment to its verdict: bets in the order of assignment, intervals to show, alarms, and a word.

A factorial experiment is as many readouts as it has roles, on the same runs: each role's bet knows the chance with which that
role was drawn. alpha is shared among the roles first, then (`decide`) between goal and guardrails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isnan, log, log1p, nan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.learn import intervals
from trimtab.learn.decide import Goal, Guardrail, Scale, Shares, Verdict, decide, share
from trimtab.learn.eprocess import ArmBet, BinaryBet, QuantileBet, RatioBet, SrmBet, TiltBet
from trimtab.learn.intervals import Interval
from trimtab.learn.metrics import METRICS, Cohort, Metric, Outcome
from trimtab.learn.mixture import Side
from trimtab.policy.assign import CONTROL
from trimtab.policy.experiment import Limit, read_limit
from trimtab.policy.spec import ExperimentSpec

Floats: TypeAlias = NDArray[np.float64]
IsTreated: TypeAlias = Callable[[str], bool]
PLANNED = 500  # runs at which intervals are narrowest: fixed, because all readings of one stream must agree on it


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. `part` is goal, guardrail, or shown (which decides nothing).

    `effect` is treatment against control on `scale` (a ratio: its logarithm); `needed` is the e-value that decides.
    """

    metric: Metric
    part: str
    control: float
    treatment: float
    effect: Interval | None
    scale: Scale
    e_value: float | None
    needed: float
    limit: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Readout:
    """Treatment against control: of the arms, or of one `role` of a factorial experiment."""

    role: str
    runs: tuple[int, int]
    rows: Sequence[Row]
    verdict: Verdict
    srm_e_value: float
    cascades: Mapping[str, tuple[int, int]]
    asks: tuple[int, int]
    dollars: Interval | None

    @property
    def goal(self) -> Row:
        """The row that decides."""
        return next(row for row in self.rows if row.part == "goal")


@dataclass(frozen=True, slots=True)
class Measured:
    """An experiment as it stands. `alpha` is the chance, over its whole life, that any of its verdicts is wrong."""

    spec: ExperimentSpec
    cohort: Cohort
    readouts: Sequence[Readout]
    alpha: float
    alpha_text: str


@dataclass(slots=True)
class _Sample:
    """The counted runs as columns. `steady` is where the weight last changed: from there on runs are alike in both arms."""

    outcomes: Sequence[Outcome]
    treated: NDArray[np.bool_]
    weights: Floats
    strata: Sequence[str | None]
    steady: int = field(default=0)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], is_treated: IsTreated) -> _Sample:
        weights = np.array([o.weight for o in outcomes], dtype=np.float64)
        several = len({o.workflow for o in outcomes}) > 1
        changed = np.flatnonzero(np.diff(weights)) + 1
        return cls(
            outcomes,
            np.array([is_treated(o.arm) for o in outcomes], dtype=np.bool_),
            weights,
            [o.workflow if several else None for o in outcomes],
            int(changed[-1]) if changed.size else 0,
        )


def measure(spec: ExperimentSpec, cohort: Cohort, *, alpha: float = 0.05) -> Measured:
    """Compare the arms of an experiment. Raises UsageError where alpha is no chance of an error."""
    roles = sorted(spec.factors) or [""]
    each = alpha / len(roles)
    compared = [_compare(spec, cohort, role, each) for role in roles]
    shares = share(each, len(spec.guardrails)).text
    text = f"alpha {alpha:g}, shared by {len(roles)} roles; of each {shares}" if len(roles) > 1 else shares
    return Measured(spec, cohort, compared, alpha, text)


def treated_in(spec: ExperimentSpec, role: str) -> IsTreated:
    """Say how to tell, from the name of an arm, whether `role` is treated in it (empty: of two arms, the other one)."""
    if spec.factors:
        return lambda arm: arm != CONTROL and role in arm.split("+")
    return lambda arm: arm != spec.control


def _compare(spec: ExperimentSpec, cohort: Cohort, role: str, alpha: float) -> Readout:
    is_treated = treated_in(spec, role)
    sample = _Sample.of(cohort.counted, is_treated)
    shares = share(alpha, len(spec.guardrails))
    rows = [_row(spec, name, sample, shares) for name in _listed(spec)]
    goal = next(row for row in rows if row.part == "goal")
    srm = SrmBet()
    for arm, weight in cohort.drawn:
        srm.update(is_treated(arm), weight)
    verdict = decide(
        _goal(goal),
        [_guardrail(row, read_limit(row.limit)) for row in rows if row.part == "guardrail"],
        alpha=alpha,
        srm_e_value=srm.e_value,
        pin_mismatches=len({run for run, _, _ in cohort.mismatched}),
    )
    arms: list[Sequence[Outcome]] = [
        [o for o in cohort.counted if is_treated(o.arm) == treated] for treated in (False, True)
    ]
    owners = [Counter(role for o in outcomes for role in o.cascade) for outcomes in arms]
    return Readout(
        role=role,
        runs=(len(arms[0]), len(arms[1])),
        rows=rows,
        verdict=verdict,
        srm_e_value=srm.e_value,
        cascades={name: (owners[0][name], owners[1][name]) for name in sorted({*owners[0], *owners[1]})},
        asks=(sum(o.asks for o in arms[0]), sum(o.asks for o in arms[1])),
        dollars=_dollars(sample, shares.goal),
    )


def _listed(spec: ExperimentSpec) -> list[str]:
    rest = [name for name in METRICS if name != spec.goal and name not in spec.guardrails]
    return [spec.goal, *spec.guardrails, *rest]


def _row(spec: ExperimentSpec, name: str, sample: _Sample, shares: Shares) -> Row:
    metric, limit = METRICS[name], spec.guardrails.get(name, "")
    part = "goal" if name == spec.goal else "guardrail" if limit else "shown"
    alpha = {"goal": shares.goal, "guardrail": shares.guardrail}.get(part, shares.alpha)
    relative = metric.kind == "ratio" or (bool(limit) and read_limit(limit).unit == "%")
    scale: Scale = "ratio" if relative else "points" if metric.kind == "share" else "amount"
    values = [metric.top(o) for o in sample.outcomes]
    known = [value for value in values if value is not None]
    unknown = len(values) - len(known)
    if unknown or not {True, False} <= set(sample.treated.tolist()):
        why = f"not known of {unknown} runs" if unknown else "an arm has no run yet"
        return Row(metric, part, nan, nan, None, scale, None, 1 / alpha, limit, why)
    tops = np.array(known, dtype=np.float64)
    # A guardrail asks whether the treatment does harm; the goal, and what is only shown, whether it does anything.
    harm: Side = "less" if metric.more_is_better else "more"
    e_value = _bet(metric, sample, tops, harm if part == "guardrail" else "both").e_value
    figures = [_figure(metric, sample, tops, treated=treated) for treated in (False, True)]
    effect = _effect(metric, sample, tops, alpha, scale)
    return Row(metric, part, figures[0], figures[1], effect, scale, e_value, 1 / alpha, limit)


def _bet(metric: Metric, sample: _Sample, tops: Floats, side: Side) -> ArmBet:
    rows = zip(
        sample.outcomes, sample.treated.tolist(), tops.tolist(), sample.weights.tolist(), sample.strata, strict=True
    )
    match metric.kind:
        case "share":
            binary = BinaryBet(side=side)
            for _, treated, top, weight, stratum in rows:
                binary.update(treated, bool(top), weight, stratum)
            return binary
        case "ratio":
            ratio = RatioBet(side=side)
            for outcome, treated, top, weight, stratum in rows:
                ratio.update(treated, top, metric.bottom(outcome), weight, stratum)
            return ratio
        case "count":
            tilt = TiltBet(side=side)
            for _, treated, top, weight, stratum in rows:
                tilt.update(treated, top, weight, stratum)
            return tilt
        case "quantile":
            quantile = QuantileBet(quantile=metric.quantile, side=side)
            for _, treated, top, weight, stratum in rows:
                quantile.update(treated, top, weight, stratum)
            return quantile


def _figure(metric: Metric, sample: _Sample, tops: Floats, *, treated: bool) -> float:
    """Give the figure of one arm, of the runs and with the weights that the effect beside it rests on."""
    mine = sample.treated == treated
    if metric.kind == "quantile":
        mine[: sample.steady] = False
        return float(np.quantile(tops[mine], metric.quantile, method="inverted_cdf")) if mine.any() else nan
    counts = np.ones(mine.size)
    if sample.steady:
        # Runs count by the inverse of the chance of their arm: the plain shares would differ where only the times differ.
        counts = 1 / np.where(sample.treated, sample.weights, 1 - sample.weights)
    bottoms = np.array([metric.bottom(o) for o in sample.outcomes], dtype=np.float64)
    below = float((counts * bottoms)[mine].sum())
    return float((counts * tops)[mine].sum()) / below if below else nan


def _effect(metric: Metric, sample: _Sample, tops: Floats, alpha: float, scale: Scale) -> Interval:
    if metric.kind == "quantile":
        return _quantiles(metric, sample, tops, alpha, scale)
    if scale == "ratio":
        bottoms = np.array([metric.bottom(o) for o in sample.outcomes], dtype=np.float64)
        return intervals.log_ratio(sample.treated, tops, bottoms, sample.weights, alpha=alpha, planned=PLANNED)
    effect = intervals.difference(sample.treated, tops, sample.weights, alpha=alpha, planned=PLANNED)
    if all(len(set(tops[sample.treated == arm].tolist())) > 1 for arm in (False, True)):
        return effect
    # An arm without any spread would make the interval narrower than what so many runs can show: one success and one failure
    # are added to each arm (Agresti and Caffo, "Simple and effective confidence intervals for proportions", 2000).
    treated = np.concatenate([np.array([False, False, True, True]), sample.treated])
    values, weights = np.concatenate([np.array([0.0, 1.0, 0.0, 1.0]), tops]), sample.weights
    weights = np.concatenate([np.full(4, weights[0]), weights])
    wider = intervals.difference(treated, values, weights, alpha=alpha, planned=PLANNED)
    return replace(wider, estimate=effect.estimate, low=min(wider.low, effect.low), high=max(wider.high, effect.high))


def _quantiles(metric: Metric, sample: _Sample, tops: Floats, alpha: float, scale: Scale) -> Interval:
    """Both arms' quantile sequences, each at half of alpha. Quantiles know no weights: only runs of one weight are compared."""
    tops, treated = tops[sample.steady :], sample.treated[sample.steady :]
    if treated.all() or not treated.any():
        return Interval(nan, -inf, inf, 1 - alpha)
    one, two = (
        intervals.quantile(tops[treated == arm], metric.quantile, alpha / 2, planned=PLANNED / 2)
        for arm in (False, True)
    )
    if scale == "amount":
        ends = two.estimate - one.estimate, two.low - one.high, two.high - one.low
    else:
        ends = _over(two.estimate, one.estimate), _over(two.low, one.high), _over(two.high, one.low)
    estimate, low, high = ends
    return Interval(estimate, -inf if isnan(low) else low, inf if isnan(high) else high, 1 - alpha)


def _over(above: float, below: float) -> float:
    """Log of a ratio of seconds, where either may be endless or not known."""
    if above <= 0:
        return -inf
    if below <= 0 or (above == inf and below != inf):
        return inf
    return -inf if below == inf else log(above / below)


def _dollars(sample: _Sample, alpha: float) -> Interval | None:
    costs = [o.usd for o in sample.outcomes]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or not {True, False} <= set(sample.treated.tolist()):
        return None
    return intervals.difference(
        sample.treated, np.array(known, dtype=np.float64), sample.weights, alpha=alpha, planned=PLANNED
    )


def _goal(row: Row) -> Goal:
    if row.metric.more_is_better:
        return Goal(row.metric.name, row.e_value, row.effect, row.scale, missing=row.why_not)
    return Goal(f"{row.metric.name} better by", row.e_value, _mirrored(row.effect), row.scale, missing=row.why_not)


def _guardrail(row: Row, limit: Limit) -> Guardrail:
    allowed = log1p(max(limit.amount, -0.999)) if row.scale == "ratio" else limit.amount
    if row.metric.more_is_better:
        name = f"{row.metric.name} worse by"
        return Guardrail(name, _mirrored(row.effect), -allowed if allowed else 0.0, row.e_value, row.scale)
    return Guardrail(row.metric.name, row.effect, allowed, row.e_value, row.scale)


def _mirrored(effect: Interval | None) -> Interval | None:
    return effect and Interval(-effect.estimate, -effect.high, -effect.low, effect.level)
