"""What an environment did on the old map: what a stage with all of the traffic, which has nobody beside it, is compared with.

Two times are never alike, even on one map. How unlike, the history itself says: cut into blocks, their means scatter by more than their
runs explain, and that excess is the variance of the drift. A comparison with before is widened by it. Where days differ by themselves it
falls as a stage covers more of them; where the level wanders it does not: so blocks of many lengths are looked at, and the greatest
excess counts, scaled down at most to the longest block of which the history has eight. And where its last part already strays from the
rest, it may stray as far again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import exp, fsum, inf, isfinite, log, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.learn.gate_asked import Asked
from trimtab.learn.gate_effect import Arm
from trimtab.learn.metrics import Metric, Outcome

Array: TypeAlias = NDArray[np.float64]
FEWEST_BEFORE = 100
SHORTEST = timedelta(days=3)
_BLOCKS, _LEAST_BLOCK = 8, 5
_NO_CHANCE = 2.5  # standard errors
_BROKEN = 0.5  # of the usual success; no environment drifts so far, a broken map goes farther
_UNKNOWN_USUAL = 0.4  # without a history: fewer successes than one in five are taken for broken
_STUCK_AT_LEAST = timedelta(minutes=1)
_STUCK, _STUCK_FROM = 10.0, 20  # times the usual longest, known of so many runs
LATENCIES = 10_000  # of the last runs are enough for that


@dataclass(frozen=True, slots=True)
class Past:
    """One metric of the history: its runs added up, of them the `recent` ones, and how far its level strays.

    `excess` are the excess variances of blocks by their length in runs, `strayed` how far the last runs are from all.
    """

    arm: Arm
    recent: Arm
    excess: Sequence[tuple[int, float]]
    strayed: float

    def drift(self, runs: float) -> float:
        """Variance of the level of so many runs against the history, beyond what runs themselves leave."""
        if not self.excess or runs <= 0:
            return 0.0
        least = min(runs, self.excess[-1][0])
        return max(self.strayed**2, *(variance * min(1.0, length / least) for length, variance in self.excess))


def past(asked: Asked, history: Sequence[Outcome]) -> Past | None:
    """Add up one metric; None where it is not known of every run, or of too few."""
    metric = asked.metric
    tops = [metric.top(outcome) for outcome in history]
    known = np.array([top for top in tops if top is not None], dtype=np.float64)
    if known.size < len(history) or known.size < FEWEST_BEFORE:
        return None
    bottoms = np.array([metric.bottom(outcome) for outcome in history], dtype=np.float64)
    arm, recent, last = Arm(), Arm(), slice(-FEWEST_BEFORE, None)
    arm.add(known, bottoms, keep=metric.kind == "quantile")
    recent.add(known[last], bottoms[last], keep=metric.kind == "quantile")
    scores = _scores(metric, arm, known, bottoms)
    if scores is None:
        return None
    longest = known.size // _BLOCKS
    lengths = sorted({longest // 2**k for k in range(20) if longest // 2**k >= _LEAST_BLOCK})
    return Past(arm, recent, [(length, _excess(scores, length)) for length in lengths], _strayed(scores))


def too_little(history: Sequence[Outcome]) -> str:
    """Say why a history cannot tell how far its environment drifts ("": it can)."""
    times = [outcome.accepted for outcome in (history[0], history[-1]) if outcome.accepted] if history else []
    days = (times[-1] - times[0]) / timedelta(days=1) if times else inf
    if len(history) >= FEWEST_BEFORE and days >= SHORTEST.days:
        return ""
    over = f" over {days:.1f} days" if isfinite(days) and history else ""
    runs = f"{len(history):,} {'run' if len(history) == 1 else 'runs'}"
    return f"{runs}{over} on the old map before do not tell how far it drifts by itself: at least {FEWEST_BEFORE} over {SHORTEST.days} days do"


def _scores(metric: Metric, arm: Arm, tops: Array, bottoms: Array) -> Array | None:
    """Give each run the number whose mean is the metric, but for a linear map."""
    match metric.kind:
        case "share" | "count":
            return tops
        case "ratio":
            if arm.bottom <= 0 or arm.top <= 0:
                return None
            return (tops - arm.top / arm.bottom * bottoms) / arm.mean
        case "quantile":
            limit = arm.sorted[int(metric.quantile * (arm.runs - 1))]
            return (tops > limit).astype(np.float64)


def _excess(scores: Array, length: int) -> float:
    blocks = scores.size // length
    means = scores[scores.size - blocks * length :].reshape(blocks, length).mean(axis=1)
    return max(0.0, float(means.var(ddof=1)) - float(scores.var()) / length)


def _strayed(scores: Array) -> float:
    """Give how far the last runs are from all, over the stretch where that is greatest and no chance."""
    found, mean, deviation = 0.0, float(scores.mean()), float(scores.std())
    length = FEWEST_BEFORE // 2
    while length <= scores.size // 2:
        away = abs(float(scores[-length:].mean()) - mean)
        if away > _NO_CHANCE * deviation / sqrt(length):
            found = max(found, away)
        length *= 2
    return found


# -- plainly broken ------------------------------------------------------------------------------------------------


def broken_below(successes: int, runs: int) -> float:
    """Give the share of successes below which a map is broken, whatever drifts: half of what is usual on the old one."""
    if runs < _STUCK_FROM:
        return _BROKEN * _UNKNOWN_USUAL
    share = (successes + 1) / (runs + 2)
    return _BROKEN * max(0.0, share - 2 * sqrt(share * (1 - share) / runs))


def broken(successes: int, failures: int, below: float) -> float:
    """Give an e-value against "at least `below` of the runs succeed": a mixture over how few may.

    Each factor is a likelihood ratio of Bernoullis, whose expectation is at most 1 where the chance is `below` or more, whatever
    the past was (Ville). Far above `below`, as a sound map is, it never grows.
    """
    if below <= 0.0:
        return 0.0
    logs = [
        successes * log(share) + failures * log((1 - below * share) / (1 - below)) for share in (0.02, 0.1, 0.25, 0.5)
    ]
    return fsum(exp(min(value, 600.0)) for value in logs) / len(logs)


def stuck_after(latencies: Iterable[float]) -> timedelta | None:
    """Say how long a run may take before it hangs, going by runs on the old map; None: too few are known."""
    known = np.fromiter(latencies, dtype=np.float64)
    known = known[np.isfinite(known)]
    if known.size < _STUCK_FROM:
        return None
    usual = float(np.quantile(known, 0.99, method="lower"))
    return max(_STUCK_AT_LEAST, timedelta(seconds=_STUCK * usual))
