"""Compares two arms, from runs to a verdict: the goal, what must not happen, what it costs and how long it takes.

`compare` is the outline; `effect` measures outcomes, `spending` costs and latencies, `decide` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p
from typing import Any

import numpy as np

from trimtab.core.errors import UsageError
from trimtab.learn import remarks
from trimtab.learn.contrast import FEW_UNITS, PLANNED
from trimtab.learn.decide import Goal, Guardrail, Shares, Verdict, decide, in_every_case, share
from trimtab.learn.discordant import Discordance, Tallies, Unknown, mcnemar, tango, two_shares
from trimtab.learn.effect import Design, Effect, Groups, Pairs
from trimtab.learn.intervals import Interval
from trimtab.learn.planned import Plan
from trimtab.learn.runs import Runs
from trimtab.learn.spending import Spent, cost_per_success, typical_latency

MOSTLY = 0.5
_CASES: tuple[Unknown, ...] = ("left_out", "against_treatment", "for_treatment")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to compare.

    `paired` None: paired where most units ran in both arms. `margin`: a difference of shares too small to matter. `planned`: at
    how many units intervals are to be narrowest. `plan`: of pairs whose end was planned. `even`: the chance of treatment where no column tells it. Limits are relative:
    0.1 is +10 %.
    """

    alpha: float = 0.05
    paired: bool | None = None
    margin: float | None = None
    planned: int = PLANNED
    plan: Plan | None = None
    even: float = 0.5
    cost_limit: float | None = None
    latency_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Forbidden:
    """How often something that must not happen happened, in control and treatment, and the effect on it."""

    shares: tuple[float, float]
    effect: Effect


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything measured of two arms, each pair of figures control first.

    `n` counts runs with a known outcome. `p_value` and `fixed_interval` are for one look at a size fixed before. Shares of success, and `discordance` (None where it is not paired), are of paired units.
    """

    verdict: Verdict
    runs: Runs
    design: Design
    settings: Settings
    n: tuple[int, int]
    successes: tuple[float, float]
    discordance: Discordance | None
    n_pairs: int
    effect: Effect
    p_value: float
    test: str
    fixed_interval: Interval | None
    cost: Spent | None
    latency: Spent | None
    must_not: Mapping[str, Forbidden]
    srm_e_value: float
    warnings: Sequence[str]

    def json(self) -> dict[str, Any]:
        """Give the figures under their documented names; `must_not` only where something was forbidden."""
        interval, table = self.effect.interval, self.discordance
        told: dict[str, Any] = {
            "verdict": self.verdict.verdict,
            "reason": self.verdict.reason,
            "n_control": self.n[0],
            "n_treatment": self.n[1],
            "n_pairs": self.n_pairs,
            "fixed": table.fixed if table else None,
            "broken": table.broken if table else None,
            "success_control": self.successes[0],
            "success_treatment": self.successes[1],
            "difference": interval.estimate,
            "interval": [interval.low, interval.high],
            "p_value": self.p_value,
            "e_value": self.effect.e_value,
            "cost_per_success_control": self.cost.control if self.cost else None,
            "cost_per_success_treatment": self.cost.treatment if self.cost else None,
            "srm_e_value": self.srm_e_value,
            "warnings": list(self.warnings),
        }
        if self.must_not:
            told["must_not"] = {name: _forbidden_json(found) for name, found in self.must_not.items()}
        return told


def compare(runs: Runs, settings: Settings) -> Comparison:
    """Compare the arms of `runs`.

    Raises:
        UsageError: paired was asked for and no unit ran in both arms, or alpha is no chance of an error.
    """
    shares = share(settings.alpha, _guardrails(runs, settings))
    tallies = Tallies.count(runs.unit, runs.treated, runs.success, len(runs.units))
    paired = _is_paired(tallies, settings)
    runs, design, warnings = _designed(runs, tallies, settings, paired=paired)
    cases = _CASES if (runs.success < 0).any() else _CASES[:1]
    effects: dict[Unknown, Effect] = {case: design.effect(runs.success, shares.goal, case) for case in cases}
    must_not = {
        name: Forbidden(design.shares(outcomes), design.effect(outcomes, shares.guardrail))
        for name, outcomes in runs.must_not.items()
    }
    cost, latency = _spending(runs, settings, shares, paired=paired)
    srm_e_value, successes = design.srm(), design.shares(runs.success)
    if srm_e_value >= 1 / settings.alpha:
        warnings += remarks.of_chances(
            runs, lambda read: Groups(runs.unit, runs.treated, read).srm() < 1 / settings.alpha
        )
    verdict = _verdict(
        effects, _limits(must_not, cost, latency, settings), settings, srm_e_value, int((runs.success < 0).sum())
    )
    warnings += [*remarks.of_outcomes(runs, successes), *remarks.of_costs(runs)]
    warnings += remarks.few(cost.units, "cost per success", FEW_UNITS) if cost else []
    warnings += remarks.few(latency.units, "latency", FEW_UNITS) if latency else []
    table = Discordance.of(tallies.shares()) if paired else None
    n, right = _counts(runs, 0), _counts(runs, 1)
    p_value, test = _test(table, right, n)
    weighted = design.weighted_p(runs.success) if isinstance(design, Groups) else None
    if weighted is not None:
        p_value, test = weighted, "z test of shares weighted by the chances of the arms"
    elif tallies.most_runs > 1:
        test += " on majorities" if paired else ", as if repeats were runs of their own"
    return Comparison(
        verdict=verdict,
        runs=runs,
        design=design,
        settings=settings,
        n=n,
        successes=successes,
        discordance=table,
        n_pairs=int(tallies.paired.sum()) if paired else 0,
        effect=effects["left_out"],
        p_value=p_value,
        test=test,
        fixed_interval=_one_look(table, settings.alpha) if tallies.most_runs == 1 else None,
        cost=cost,
        latency=latency,
        must_not=must_not,
        srm_e_value=srm_e_value,
        warnings=warnings,
    )


def _is_paired(tallies: Tallies, settings: Settings) -> bool:
    ran = tallies.known + tallies.unknown > 0
    both, either = int((ran[:, 0] & ran[:, 1]).sum()), int((ran[:, 0] | ran[:, 1]).sum())
    if settings.paired and not tallies.paired.any():
        raise UsageError(
            "no unit has an outcome in both arms, so nothing can be paired",
            hint="check --unit, or compare with --unpaired",
        )
    return both >= MOSTLY * either and bool(tallies.paired.any()) if settings.paired is None else settings.paired


def _designed(runs: Runs, tallies: Tallies, settings: Settings, *, paired: bool) -> tuple[Runs, Design, list[str]]:
    if paired:
        pairs = Pairs(runs.unit, runs.treated, len(runs.units), settings.plan)
        return runs, pairs, [*runs.warnings, *remarks.of_pairs(runs, tallies)]
    shuffled = not runs.ordered and remarks.in_blocks(runs.treated)
    if shuffled:
        runs = runs.in_order(np.random.default_rng(0).permutation(runs.unit.size))
    chances = np.full(runs.unit.size, settings.even) if runs.propensity is None else runs.propensity
    warnings = [*runs.warnings, *remarks.of_groups(runs, even=settings.even, shuffled=shuffled)]
    return runs, Groups(runs.unit, runs.treated, chances, settings.planned), warnings


def _guardrails(runs: Runs, settings: Settings) -> int:
    costs = settings.cost_limit is not None and runs.cost is not None
    return len(runs.must_not) + costs + (settings.latency_limit is not None and runs.latency is not None)


def _spending(runs: Runs, settings: Settings, shares: Shares, *, paired: bool) -> tuple[Spent | None, Spent | None]:
    # A figure without a limit is shown at the whole alpha: it decides nothing.
    def alpha(limit: float | None) -> float:
        return settings.alpha if limit is None else shares.guardrail

    cost = latency = None
    if runs.cost is not None:
        level = alpha(settings.cost_limit)
        cost = cost_per_success(runs, runs.cost, paired=paired, alpha=level, planned=settings.planned)
    if runs.latency is not None:
        level = alpha(settings.latency_limit)
        latency = typical_latency(runs, runs.latency, paired=paired, alpha=level, planned=settings.planned)
    return cost, latency


def _limits(
    must_not: Mapping[str, Forbidden], cost: Spent | None, latency: Spent | None, settings: Settings
) -> list[Guardrail]:
    found = [Guardrail(name, f.effect.interval, 0.0, f.effect.e_value) for name, f in must_not.items()]
    limits = (("cost per success", settings.cost_limit, cost), ("latency", settings.latency_limit, latency))
    return found + [
        Guardrail(name, spent.judged, log1p(limit), scale="ratio")
        for name, limit, spent in limits
        if limit is not None and spent is not None
    ]


def _verdict(
    effects: Mapping[Unknown, Effect], guardrails: Sequence[Guardrail], settings: Settings, srm: float, unknown: int
) -> Verdict:
    def of(case: Unknown) -> Verdict:
        effect = effects[case]
        goal = Goal(
            "success",
            effect.e_value,
            effect.interval,
            margin=settings.margin,
            missing=effect.missing,
            planned=effect.planned,
        )
        return decide(goal, guardrails, alpha=settings.alpha, srm_e_value=srm)

    if not unknown:
        return of("left_out")
    return in_every_case(of("left_out"), of("against_treatment"), of("for_treatment"), unknown)


def _counts(runs: Runs, least: int) -> tuple[int, int]:
    """Runs of control and treatment whose outcome is at least this: 0 for known, 1 for success."""
    counted = np.bincount(runs.treated[runs.success >= least], minlength=2).tolist()
    return counted[0], counted[1]


def _test(table: Discordance | None, successes: tuple[int, int], runs: tuple[int, int]) -> tuple[float, str]:
    if table is None:
        return two_shares(successes, runs)
    return mcnemar(table.fixed, table.broken), "exact McNemar test"


def _one_look(table: Discordance | None, alpha: float) -> Interval | None:
    # Tango's interval knows pairs of single runs; for clusters it would be too narrow or too wide.
    if table is None:
        return None
    pairs = table.both + table.fixed + table.broken + table.neither
    return tango(table.fixed, table.broken, pairs, alpha) if pairs else None


def _forbidden_json(found: Forbidden) -> dict[str, Any]:
    interval = found.effect.interval
    return {
        "control": found.shares[0],
        "treatment": found.shares[1],
        "interval": [interval.low, interval.high],
        "e_value": found.effect.e_value,
    }
