"""From what was measured to one of three words: ship, stop or undecided. Pure: figures in, a verdict and its reason out.

How alpha is shared: alpha is the chance, over the whole life of the comparison, that a verdict is wrong. Without guardrails all
of it is the goal's. With guardrails half is the goal's and the other half is shared equally among them (Bonferroni, which needs
no independence). An e-value decides when it reaches 1/alpha of its share (Ville's inequality), however often it was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import expm1, isinf
from typing import TYPE_CHECKING, Literal, TypeAlias

from trimtab.core.errors import UsageError

if TYPE_CHECKING:
    from trimtab.learn.intervals import Interval
    from trimtab.learn.planned import Planned

Word: TypeAlias = Literal["ship", "stop", "undecided"]
Scale: TypeAlias = Literal["points", "amount", "ratio"]
_UNITS: dict[Scale, str] = {"points": " points", "amount": "", "ratio": " %"}


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of alpha the goal and each guardrail may use."""

    alpha: float
    goal: float
    guardrail: float
    guardrails: int

    @property
    def text(self) -> str:
        """The division, as a person checks it."""
        if not self.guardrails:
            return f"alpha {self.alpha:g} is all the goal's"
        each = f"each of {self.guardrails} guardrails" if self.guardrails > 1 else "the guardrail"
        return f"alpha {self.alpha:g}: {self.goal:g} for the goal, {self.guardrail:g} for {each}"


@dataclass(frozen=True, slots=True)
class Goal:
    """What the treatment is meant to raise.

    `e_value` speaks against "the arms are alike", two-sided, valid at any time; None where nothing could be measured. `interval`
    holds the effect, treatment minus control, more is better, at level 1 - its share of alpha. `margin` is a difference too
    small to matter, in the interval's unit. `missing` ends the reason of an undecided verdict: what would decide it. `planned`
    decides in place of the e-value where the end of the comparison was planned.
    """

    name: str
    e_value: float | None
    interval: Interval | None
    scale: Scale = "points"
    margin: float | None = None
    missing: str = ""
    planned: Planned | None = None


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What the treatment must not raise by more than `limit` (in the interval's unit; for a ratio, log of the ratio).

    More is worse. `interval` is at level 1 - its share of alpha; `e_value` is two-sided against "alike" and counts only where
    the limit is 0, because it does not know of limits.
    """

    name: str
    interval: Interval | None
    limit: float = 0.0
    e_value: float | None = None
    scale: Scale = "points"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, one sentence why, what rings (`alarms`: nothing can be decided until they are answered), how alpha was shared."""

    verdict: Word
    reason: str
    shares: Shares
    alarms: tuple[str, ...] = ()


def share(alpha: float, guardrails: int) -> Shares:
    """Divide alpha between the goal and so many guardrails.

    Raises:
        UsageError: alpha is no chance of an error.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha:g}, expected a chance between 0 and 1", hint="0.05 is usual")
    if not guardrails:
        return Shares(alpha, alpha, 0.0, 0)
    return Shares(alpha, alpha / 2, alpha / 2 / guardrails, guardrails)


def decide(
    goal: Goal,
    guardrails: Sequence[Guardrail] = (),
    *,
    alpha: float = 0.05,
    srm_e_value: float | None = None,
    pin_mismatches: int = 0,
) -> Verdict:
    """Decide. Alarms first, then what is broken, then the goal; whatever is not shown is undecided.

    `srm_e_value` speaks against "the arms got the share of runs that was planned"; `pin_mismatches` counts runs answered by
    another model than the pinned one.
    """
    shares = share(alpha, len(guardrails))
    if alarms := _alarms(alpha, srm_e_value, pin_mismatches):
        return Verdict("undecided", f"nothing can be said: {'; '.join(alarms)}", shares, alarms)
    if broken := [g for g in guardrails if _broken(g, shares.guardrail)]:
        return Verdict("stop", "; ".join(_harm(g) for g in broken), shares)
    if goal.e_value is None or goal.interval is None:
        return Verdict("undecided", f"{goal.name} cannot be measured yet{_then(goal.missing)}", shares)
    effect = _effect(goal.name, goal.interval, goal.scale)
    needed = 1 / shares.goal
    decided = goal.planned.decides if goal.planned else goal.e_value >= needed
    if decided and goal.interval.estimate:
        word: Word = "ship" if goal.interval.estimate > 0 else "stop"
        unsure = _unsure(guardrails) if word == "ship" else ""
        evidence = f"e-value {_figure(goal.e_value)}, {needed:.4g} was needed"
        if goal.planned:
            evidence = f"{goal.planned.text}{goal.planned.unseen if word == 'ship' else ''}"
        return Verdict(word, f"{effect}; {evidence}{unsure}", shares)
    return Verdict("undecided", _not_yet(goal, goal.interval, effect, needed), shares)


def in_every_case(known: Verdict, worst: Verdict, best: Verdict, unknown: int) -> Verdict:
    """Bound what cannot be known: `unknown` runs without an outcome all went against the treatment, or all for it.

    Only what is decided without them and in both cases is decided.
    """
    if known.alarms or not unknown:
        return known
    runs = f"{unknown:,} {'run' if unknown == 1 else 'runs'} without a known outcome"
    if known.verdict == worst.verdict == best.verdict:
        return replace(known, reason=f"{known.reason}; the same whatever came of {runs}")
    if known.verdict == "undecided":
        return replace(known, reason=f"{known.reason}; {runs} could decide it")
    reason = f"{runs}: had they all gone against the treatment the verdict were {worst.verdict}, for it {best.verdict}"
    return replace(known, verdict="undecided", reason=f"{reason}; without them {known.verdict}: {known.reason}")


def _alarms(alpha: float, srm_e_value: float | None, pin_mismatches: int) -> tuple[str, ...]:
    found: list[str] = []
    if srm_e_value is not None and srm_e_value >= 1 / alpha:
        found.append(
            f"sample ratio mismatch: the arms did not get their planned shares (e-value {_figure(srm_e_value)}, alarm at {1 / alpha:.4g})"
        )
    if pin_mismatches:
        found.append(
            f"{pin_mismatches} {'run was' if pin_mismatches == 1 else 'runs were'} answered by another model than the pinned one"
        )
    return tuple(found)


def _broken(guardrail: Guardrail, alpha: float) -> bool:
    interval = guardrail.interval
    if interval is None:
        return False
    shown = guardrail.limit == 0 and guardrail.e_value is not None and guardrail.e_value >= 1 / alpha
    return interval.low > guardrail.limit or (shown and interval.estimate > 0)


def _harm(guardrail: Guardrail) -> str:
    assert guardrail.interval is not None
    effect = _effect(guardrail.name, guardrail.interval, guardrail.scale)
    return f"guardrail broken: {effect}, the limit is {_amount(guardrail.limit, guardrail.scale)}"


def _unsure(guardrails: Sequence[Guardrail]) -> str:
    unsure = [g.name for g in guardrails if g.interval is None or g.interval.high > g.limit]
    return f"; not broken, but not shown to hold: {', '.join(unsure)}" if unsure else ""


def _not_yet(goal: Goal, interval: Interval, effect: str, needed: float) -> str:
    if goal.margin is not None and -goal.margin <= interval.low and interval.high <= goal.margin:
        return f"no difference that matters: {effect}, within {_amount(goal.margin, goal.scale)} either way"
    evidence = (
        goal.planned.text if goal.planned else f"e-value {_figure(goal.e_value or 0.0)} of the {needed:.4g} needed"
    )
    return f"{effect}; {evidence}{_then(goal.missing)}"


def _then(missing: str) -> str:
    return f"; {missing}" if missing else ""


def _effect(name: str, interval: Interval, scale: Scale) -> str:
    if isinf(interval.low) and isinf(interval.high):
        return f"{name} {_amount(interval.estimate, scale)} (no interval yet)"
    unit = _UNITS[scale]
    low, high = _bare(interval.low, scale), _bare(interval.high, scale)
    return f"{name} {_amount(interval.estimate, scale)} ({interval.level * 100:.4g} % interval {low} to {high}{unit})"


def _amount(value: float, scale: Scale) -> str:
    return _bare(value, scale) + _UNITS[scale]


def _bare(value: float, scale: Scale) -> str:
    match scale:
        case "points":
            return f"{value * 100:+.1f}"
        case "ratio":
            return f"{expm1(min(value, 50.0)) * 100:+.1f}"
        case "amount":
            return f"{value:+.4g}"


def _figure(e_value: float) -> str:
    return f"{e_value:,.0f}" if 100 <= e_value < 1e6 else f"{e_value:.3g}"  # noqa: PLR2004  # no exponent where it can do without
