"""Chronic burn: dollars per success that crept up and stayed. It has no spike; it is found by an e-detector.

Runs are taken in blocks of whole hours with 20 runs or more, by when they first stood still. A block's score is the log of its
dollars per success over what such a block cost before, in units of the scatter of such logs, clipped at 2. With a plan
(`usd_per_success`) that is the plan; without, the mean of the blocks older than three days, so that three days of burn have not
yet become the usual, with the hour of day's own share where days enough are known.

Of each score z a bettor who believes in "it is dearer" makes the factor 1 + L (z - d), fair or worse as long as the expected score
is at most d; d is the tolerance (3 %) and half a standard error of the reference. The e-detector adds up the bettors that begin
anew at every block, M = factor * (M + 1): where nothing is dearer, the mean number of blocks until M first passes 1/a is at
least 1/a, whatever the scores' distribution (Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change
detection", NEJSDS 2(2), 2024: e-SR, definition 2.4 and theorem 2.4; Shiryaev 1963, Roberts 1966). M is averaged over five L.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import fmean, median

from trimtab.core.values import Json
from trimtab.core.watched import Knowledge, SettledFact, Trouble, Unit, Watched
from trimtab.learn.watch_series import DAY, WEEK
from trimtab.learn.watch_words import ago, amount, hour_at, number_of_hour

BLOCK_RUNS = 20
LAG = 3 * DAY  # hours: what is newer is judged, not judged by
LEAST_BLOCKS = 24  # of the past, before anything is judged
ONCE_IN = 500.0  # blocks until the first false alarm, on average, at least
TOLERANCE = 0.03
BETS = (0.05, 0.1, 0.2, 0.3, 0.45)
_CLIP = 2.0
_SCATTERED = 6  # blocks that give a scatter, at least
_FAMILIAR = 6.0  # days' worth of doubt that an hour of day has a share of its own


@dataclass(frozen=True, slots=True)
class Block:
    """Runs of some hours: what they cost per success, as a logarithm. `hour` is the last of them, from 1970."""

    hour: int
    runs: int
    successes: int
    spent: float
    cost: float


@dataclass(frozen=True, slots=True)
class Drift:
    """How the bets stand. `evidence` is the e-detector's value over what alarms (1: alarm).

    `began` and `last` are the places of the blocks where its rise began and where it stands now; `judged` blocks were bet on.
    """

    evidence: float
    began: int
    last: int
    judged: int


def blocks(settled: Sequence[SettledFact], unit: Unit) -> list[Block]:
    """Put hours together until each block has runs enough; what is left over at the end waits."""
    found: list[Block] = []
    runs = successes = 0
    spent = 0.0
    for hour in settled:
        runs, successes = runs + hour.runs, successes + hour.successes
        spent += hour.usd if unit == "usd" else hour.tokens
        if runs >= BLOCK_RUNS and spent > 0:
            # Half a success more, so that a block in which nothing succeeded has a cost, too: a high one.
            cost = log(spent / (successes + 0.5) * (runs + 0.5) / runs)
            found.append(Block(number_of_hour(hour.at), runs, successes, spent, cost))
            runs = successes = 0
            spent = 0.0
    return found


def drift(past: Sequence[Block], plan: float | None) -> Drift | None:
    """Bet on every block that has a past; None where none has."""
    last: Drift | None = None
    for last in drifts(past, plan):  # noqa: B007 - the last one is what counts
        pass
    return last


def drifts(past: Sequence[Block], plan: float | None) -> Iterator[Drift]:
    """Give how the bets stood after each block: nothing that came later is in it."""
    total, risen, began = [0.0] * len(BETS), [1.0] * len(BETS), [0] * len(BETS)
    judged = list(_scores(past) if plan is None else _against(past, log(plan)))
    for count, (place, score, most) in enumerate(judged, 1):
        for n, stake in enumerate(BETS):
            factor = max(0.0, 1.0 + stake * (score - most))
            # The bettor who began here has won most: the likeliest beginning (Page's CUSUM, Biometrika 41, 1954).
            if risen[n] <= 1.0:
                began[n], risen[n] = place, 1.0
            risen[n] *= factor
            total[n] = factor * (total[n] + 1.0)
        best = max(range(len(BETS)), key=total.__getitem__)
        yield Drift(fmean(total) / ONCE_IN, began[best], place, count)


def _against(past: Sequence[Block], plan: float) -> Iterator[tuple[int, float, float]]:
    """Score blocks against a plan, in units of the scatter of the blocks before."""
    for place in range(_SCATTERED, len(past)):
        scatter = _scatter([b.cost for b in past[max(0, place - WEEK) : place]])
        yield place, _clipped((past[place].cost - plan) / scatter), TOLERANCE / scatter


def _scores(past: Sequence[Block]) -> Iterator[tuple[int, float, float]]:
    """Score blocks against those older than three days: the place of each, its score, and what it may be by chance of the past."""
    known = 0
    usual = _Usual()
    for place, block in enumerate(past):
        # With less than three days known, the older half of what there is stands for the past.
        lag = min(LAG, (block.hour - past[0].hour) // 2)
        while known < place and past[known].hour < block.hour - lag:
            usual.add(past[known])
            known += 1
        if known >= LEAST_BLOCKS:
            scatter = usual.scatter
            yield (
                place,
                _clipped((block.cost - usual.cost(block.hour)) / scatter),
                TOLERANCE / scatter + 0.5 / sqrt(known),
            )


class _Usual:
    """What blocks cost before: their mean, the share of each hour of day, and the scatter that is left."""

    def __init__(self) -> None:
        self._costs: list[float] = []
        self._by_hour: dict[int, tuple[int, float]] = {}
        self._left: list[float] = []
        self._scatter = (0, 1.0)

    def add(self, block: Block) -> None:
        if len(self._costs) >= DAY:
            self._left.append(block.cost - self.cost(block.hour))
        self._costs.append(block.cost)
        count, total = self._by_hour.get(block.hour % DAY, (0, 0.0))
        self._by_hour[block.hour % DAY] = count + 1, total + block.cost - self._mean

    @property
    def _mean(self) -> float:
        return fmean(self._costs)

    @property
    def scatter(self) -> float:
        """Give the scatter, worked out anew when a tenth more is known: the bets need it to be of the past, not of now."""
        known, scatter = self._scatter
        if 10 * len(self._costs) > 11 * known:
            scatter = _scatter(self._left if len(self._left) >= LEAST_BLOCKS else self._costs)
            self._scatter = len(self._costs), scatter
        return scatter

    def cost(self, hour: int) -> float:
        near = [self._by_hour.get((hour + off) % DAY, (0, 0.0)) for off in (-1, 0, 1)]
        count, total = sum(c for c, _ in near), sum(t for _, t in near)
        return self._mean + total / (count + _FAMILIAR)


def _scatter(costs: Sequence[float]) -> float:
    """Give the scatter of costs, robustly: 1.48 times the median distance from the median (Hampel 1974), never next to nothing."""
    middle = median(costs)
    return max(1.4826 * median(abs(c - middle) for c in costs), 0.02)


def _clipped(score: float) -> float:
    return max(-_CLIP, min(_CLIP, score))


def _per_success(past: Sequence[Block]) -> float:
    return sum(b.spent for b in past) / max(1, sum(b.successes for b in past))


def burns(watched: Watched, plan: float | None) -> list[Trouble]:
    """Find whether a success has become dearer for good."""
    unit = _unit(watched, plan)
    past = blocks(watched.settled, unit)
    found = drift(past, plan)
    if found is None or found.evidence < KEPT:
        return []
    here, before = past[found.began :], past[: found.began] or past
    now, usual = _per_success(here), plan if plan is not None else _per_success(before)
    place, change = watched.environment, now / usual - 1.0 if usual else 0.0
    against = "the plan" if plan is not None else "what it was before"
    since = hour_at(here[0].hour)
    what = (
        f"a success in {place} costs {amount(now, unit)} since {since:%Y-%m-%d %H:%M} UTC, "
        f"{change:+.0%} on {against} ({amount(usual, unit)})"
    )
    evidence: Json = {
        "unit": unit,
        "per_success": round(now, 6),
        "usual": round(usual, 6),
        "change": round(change, 4),
        "evidence": round(found.evidence * ONCE_IN, 1),
        "alarm_at": ONCE_IN,
        "blocks": found.judged,
        "since": since.isoformat(),
    }
    mend = f"trimtab cost report --by role --since {since:%Y-%m-%d} --environment {place}"
    return [Trouble(f"chronic_burn/{place}", "warning", what, mend, since, evidence, told=found.evidence >= 1.0)]


def knows_burn(watched: Watched, plan: float | None) -> Knowledge:
    """Say what the detector rests on."""
    unit = _unit(watched, plan)
    past = blocks(watched.settled, unit)
    found = drift(past, plan)
    place, name = watched.environment, "chronic_burn"
    if found is None:
        least = _SCATTERED if plan is not None else LEAST_BLOCKS
        what = f"{len(past)} blocks of {BLOCK_RUNS} runs are known; it judges what comes after the first {least}"
        return Knowledge(name, place, ready=False, what=what)
    days = (past[-1].hour - past[0].hour) // DAY
    usual = amount(plan if plan is not None else _per_success(past), unit)
    what = f"from {ago(days)}, {found.judged} blocks judged: a success {'is planned to cost' if plan else 'usually costs'} {usual}"
    return Knowledge(name, place, ready=True, what=what)


def _unit(watched: Watched, plan: float | None) -> Unit:
    unpriced, runs = sum(h.unpriced for h in watched.settled), sum(h.runs for h in watched.settled)
    return "tokens" if plan is None and 100 * unpriced > runs else "usd"


KEPT = 0.2  # an alarm stays on until the evidence has fallen to this share
