"""What a gate asks: of every guardrail, and of the goal, how much may be lost, and how sure it must be.

Two limits: `harm` is what ends a rollout when it is shown to be passed, `shown` is what must be shown to hold before it goes on. They
differ for the goal, which ends a rollout when it is shown to be worse at all, and for a limit of +0: that nothing at all is lost no
number of runs can show of a change that changes nothing, so there, and for a goal without a limit, `UNSAID` is what must be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log1p

from trimtab.learn.decide import Scale
from trimtab.learn.metrics import METRICS, Kind, Metric
from trimtab.policy.experiment import Limit, read_limit
from trimtab.policy.rollout_spec import RolloutSpec

# What may be lost where nobody said. Two points of success are two fifths of what is plainly worse (five), so that such a change is far
# beyond them; less would take months of a thousand runs a day to show. A twentieth of the tokens and a tenth of a latency few would notice.
UNSAID: Mapping[Kind, str] = {"share": "-0.02", "ratio": "+5%", "count": "+0.02", "quantile": "+10%"}
_NOTHING = Limit(0.0, "")


@dataclass(frozen=True, slots=True)
class Asked:
    """One metric of a gate. `said` is whether the policy gave the limit that must be shown."""

    metric: Metric
    is_goal: bool
    harm: Limit
    shown: Limit
    said: bool

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


def asked(spec: RolloutSpec) -> list[Asked]:
    """Give what the gates of a rollout ask: of the goal first, then of its guardrails."""
    goal = _asked(spec.goal, spec.guardrails.get(spec.goal, ""), is_goal=True)
    return [goal, *(_asked(name, text, is_goal=False) for name, text in spec.guardrails.items() if name != spec.goal)]


def _asked(name: str, text: str, *, is_goal: bool) -> Asked:
    metric = METRICS[name]
    limit = read_limit(text) if text else _NOTHING
    said = bool(limit.amount)
    shown = limit if said else read_limit("+0.5s" if limit.unit == "s" else UNSAID[metric.kind])
    return Asked(metric, is_goal, _NOTHING if is_goal else limit, shown, said)


def pass_level(spec: RolloutSpec, place: int) -> float:
    """Give the chance with which a change that is beyond a limit may pass the gate of a stage (counted from 0), at most.

    Such a change shall come to the last stage in at most 1 % of rollouts. The stages before it in its environment guard it, each
    with runs of its own, so their chances multiply: two at 5 % make 0.25 %. Where only one guards, or none there, it has 1 %.
    """
    last = len(spec.stages) - 1
    guards = [n for n, s in enumerate(spec.stages[:last]) if s.environment == spec.stages[last].environment]
    alone = guards or list(range(last))
    return 0.01 if len(guards) <= 1 and place in alone else 0.05
