"""The runs of one stage, taken in one after another: bets that ask whether the new map does harm, and sums that show it does none.

Harm is asked with bets on the arm (`gate_bets`), valid at every look and while everything drifts; a limit is asked by taking it off
the treated runs first ("+10 %": their tokens divided by 1.1). With all of the traffic there is no arm to bet on: `gate` then goes by
the history. What was taken in before is never looked at again, so that a look costs what is new.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from trimtab.learn.checks import Array
from trimtab.learn.gate_asked import Asked
from trimtab.learn.gate_bets import BatchBet, Bools, OddsBatch, QuantileBatch, RatioBatch
from trimtab.learn.gate_effect import Arm
from trimtab.learn.gate_history import LATENCIES, Past, past, too_little
from trimtab.learn.metrics import Outcome
from trimtab.learn.mixture import Side
from trimtab.policy.assign import TREATMENT


@dataclass(slots=True)
class Line:
    """One metric: what is asked of it, the sums of both arms, and the bet on harm (None: its interval tells harm).

    `unknown` counts the runs of which it is not known.
    """

    asked: Asked
    arms: tuple[Arm, Arm]
    past: Past | None = None
    bet: BatchBet | None = None
    unknown: int = 0

    def add(self, outcomes: Sequence[Outcome], treated: Bools, weight: float) -> None:
        """Take in runs of one weight in the order of their assignment."""
        metric = self.asked.metric
        found = [metric.top(outcome) for outcome in outcomes]
        if None in found:
            known = [n for n, top in enumerate(found) if top is not None]
            self.unknown += len(found) - len(known)
            outcomes, treated = [outcomes[n] for n in known], treated[known]
            found = [found[n] for n in known]
        tops = np.array(found, dtype=np.float64)
        bottoms = np.array([metric.bottom(outcome) for outcome in outcomes], dtype=np.float64)
        if self.bet is not None and 0.0 < weight < 1.0:
            self.bet.add(treated, self._fair(treated, tops), bottoms, weight)
        for arm, mine in zip(self.arms, (~treated, treated), strict=True):
            arm.add(tops[mine], bottoms[mine], keep=metric.kind == "quantile")

    def _fair(self, treated: Bools, tops: Array) -> Array:
        """Take off the treated runs what they are allowed: what is left is compared."""
        limit = self.asked.harm
        if not limit.amount:
            return tops
        return np.where(treated, tops / (1.0 + limit.amount) if limit.unit == "%" else tops - limit.amount, tops)


@dataclass(slots=True)
class StageRuns:
    """All that is kept of the runs of a stage. `history` are the runs to compare with where nobody is `beside`."""

    lines: list[Line]
    beside: bool
    history: Sequence[Outcome]
    too_little: str
    usual: list[int] = field(default_factory=lambda: [0, 0])  # runs on the old map: successes, all
    latencies: deque[float] = field(default_factory=lambda: deque[float](maxlen=LATENCIES))  # of the last of those
    runs: list[int] = field(default_factory=lambda: [0, 0])
    good: int = 0  # successes of the new map
    weight: float | None = None
    treated_at: list[datetime | None] = field(default_factory=list[datetime | None])
    changed_at: int = 0  # treated runs before the weight last changed

    @classmethod
    def of(cls, asked: Sequence[Asked], weight: float, history: Sequence[Outcome]) -> StageRuns:
        """Begin with no run."""
        beside = weight < 1.0
        lines: list[Line] = []
        for one in asked:
            before = None if beside else past(one, history)
            arms = Arm() if before is None else before.arm, Arm()
            lines.append(Line(one, arms, before, _bet(one) if beside else None))
        stage = cls(lines, beside, history, "" if beside else too_little(history))
        stage._usual(history)
        return stage

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take in runs in the order of their assignment."""
        start = 0
        for place, outcome in enumerate(outcomes):
            # Sums of runs of two weights would mistake a drift for an effect.
            if self.weight is not None and outcome.weight != self.weight:
                self._add(outcomes[start:place])
                self._begin_again()
                start = place
            self.weight = outcome.weight
        self._add(outcomes[start:])

    def begin(self, until: datetime | None) -> int:
        """Count the treated runs, of those in the sums, that were accepted before a moment."""
        times = self.treated_at[self.changed_at :]
        if until is None or not times or None in (times[0], times[-1]):
            return len(times)
        return bisect_left(times, until, key=lambda at: at or until)

    def _add(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        treated = [outcome.arm == TREATMENT for outcome in outcomes]
        is_treated = np.array(treated, dtype=np.bool_)
        for line in self.lines:
            line.add(outcomes, is_treated, outcomes[0].weight)
        mine = [outcome for outcome, is_mine in zip(outcomes, treated, strict=True) if is_mine]
        self.treated_at += [outcome.accepted for outcome in mine]
        self.good += sum(outcome.success for outcome in mine)
        self.runs[1] += len(mine)
        self.runs[0] += len(outcomes) - len(mine)
        self._usual([outcome for outcome, is_mine in zip(outcomes, treated, strict=True) if not is_mine])

    def _usual(self, outcomes: Sequence[Outcome]) -> None:
        self.usual[0] += sum(outcome.success for outcome in outcomes)
        self.usual[1] += len(outcomes)
        self.latencies.extend(outcome.latency_s for outcome in outcomes)

    def _begin_again(self) -> None:
        self.changed_at = len(self.treated_at)
        for line in self.lines:
            line.arms = (line.arms[0] if line.past else Arm(), Arm())


def _bet(asked: Asked) -> BatchBet | None:
    """Make the bet that the new map does harm beyond the limit."""
    metric = asked.metric
    side: Side = "less" if metric.more_is_better else "more"
    match metric.kind:
        case "share":
            return None if asked.harm.amount else OddsBatch(side)  # nothing can be taken off a success
        case "ratio" | "count":
            return RatioBatch(side)
        case "quantile":
            return QuantileBatch(side, metric.quantile)
