"""What a gate asks: of every guardrail, and of the goal, how much may be lost, and how sure it must be.

Two limits: `harm` is what ends a rollout when it is shown to be passed, `shown` is what must be shown to hold before it goes on. They
differ for the goal, which ends a rollout when it is shown to be worse at all, and for a limit of +0: that nothing at all is lost no
number of runs can show of a change that changes nothing, so there, and for a goal without a limit, `UNSAID` is what must be shown.

A limit is what all runs of an environment together may lose. Where the next stage reaches a share of them, a loss counts by that share: before
25 % of the runs, -2 points in all are -8 points of those. So the first gates ask what a day or two can show, and the last one, before
everything, asks for the limit itself. What ends a rollout is not loosened, nor is the limit of a latency: a share of the runs does not move a
quantile by that share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log1p

from trimtab.learn.decide import Scale
from trimtab.learn.metrics import METRICS, Kind, Metric
from trimtab.policy.experiment import Limit, read_limit
from trimtab.policy.rollout_spec import RolloutSpec

# What may be lost where nobody said. Two points of success are two fifths of what is plainly worse (five), so that such a change is far
# beyond them; less would take months of a thousand runs a day to show. A twentieth of the tokens and a tenth of a latency few would notice.
UNSAID: Mapping[Kind, str] = {"share": "-0.02", "ratio": "+5%", "count": "+0.02", "quantile": "+10%"}
_NOTHING = Limit(0.0, "")
_LOOSEST = 5.0  # times a limit: however small a share, a map that is plainly worse goes nowhere


@dataclass(frozen=True, slots=True)
class Asked:
    """One metric of a gate. `said` is whether the policy gave the limit that must be shown; `times` is how much it is loosened here."""

    metric: Metric
    is_goal: bool
    harm: Limit
    shown: Limit
    said: bool
    times: float = 1.0

    @property
    def scale(self) -> Scale:
        """How an effect is told: a difference in points, in the metric's own unit, or the logarithm of a ratio."""
        match self.metric.kind:
            case "share":
                return "points"
            case "count":
                return "amount"
            case "ratio":
                return "ratio"
            case "quantile":
                return "amount" if self.shown.unit == "s" or self.harm.unit == "s" else "ratio"

    def as_effect(self, limit: Limit, control: float) -> float:
        """Give a limit in the unit of the effect, where control stands at `control`."""
        if self.scale == "ratio":
            return log1p(max(limit.amount, -0.999))
        return limit.amount * control if limit.unit == "%" else limit.amount


def asked(spec: RolloutSpec, place: int | None = None) -> list[Asked]:
    """Give what the gate of a stage (counted from 0; None: the strictest) asks: of the goal first, then of the guardrails."""
    times = 1.0 if place is None else loosened(spec, place)
    goal = _asked(spec.goal, spec.guardrails.get(spec.goal, ""), times, is_goal=True)
    rest = [(name, text) for name, text in spec.guardrails.items() if name != spec.goal]
    return [goal, *(_asked(name, text, times, is_goal=False) for name, text in rest)]


def loosened(spec: RolloutSpec, place: int) -> float:
    """Give how many times its limit a run of the next stage may lose, for all runs there to lose no more than the limit."""
    following = spec.stages[place + 1 :][:1]
    return min(_LOOSEST, 1 / following[0].weight) if following else 1.0


def _asked(name: str, text: str, times: float, *, is_goal: bool) -> Asked:
    metric = METRICS[name]
    limit = read_limit(text) if text else _NOTHING
    said = bool(limit.amount)
    times = 1.0 if metric.kind == "quantile" else times
    shown = limit if said else read_limit("+0.5s" if limit.unit == "s" else UNSAID[metric.kind])
    return Asked(
        metric, is_goal, _NOTHING if is_goal else limit, replace(shown, amount=shown.amount * times), said, times
    )


def pass_level(spec: RolloutSpec, place: int) -> float:
    """Give the chance with which a change that is beyond a limit may pass the gate of a stage (counted from 0), at most.

    Such a change shall come to all runs of an environment in at most 1 % of rollouts, so each gate before that has 1 %. The gates before
    ask for less, and are no guard against what is a little beyond the limit.
    """
    following = spec.stages[place + 1 :][:1]
    return 0.01 if following and following[0].weight >= 1 else 0.05
