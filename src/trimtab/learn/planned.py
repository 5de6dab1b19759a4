"""A paired comparison whose end was planned: exact permutation tests, which may be read on the way and keep most of alpha for the end.

A plan fixes, before anything is seen, which requests there are and how often each arm runs each of them. Two questions:

- **These requests.** Is there a difference on any of them? If there is none, the outcomes of a request would have been the same
  whichever of its runs had been made in which arm. So the sum of scores (share of successes of the treatment less that of the
  control) has a known law: in each request the arms are dealt anew among its runs (Fisher, "The Design of Experiments", 1935; the
  exact form of Cochran, Biometrics 10, 1954; McNemar's test where an arm runs once). Where some requests gain what others lose that
  law is wider than the truth, so for their average the test errs on the safe side.
- **Requests like these.** Do they agree? They are taken as drawn from more of their kinds, their repeats as one cluster: the arms of
  whole requests are swapped, which flips the signs of scores. Exact where the arms do not differ, and asymptotically valid for an
  average of 0 (Romano, JASA 85:686, 1990).

At the end a verdict needs both: the first at alpha, two-sided, so that equal arms are told apart with no more than that chance; the
second at alpha in the direction of the estimate. Before the end it needs the first at what is spent by then and, in place of the
second, the e-value of `paired`, which holds for requests of any kinds: flips of the first few signs know nothing of kinds that are
not among them, and would stop far too soon.

Before the end a twentieth of alpha is spent in all, as Haybittle (Br. J. Radiol. 44:793, 1971) and Peto (Br. J. Cancer 34:585, 1976)
do, and the rest at the end. The bounds come from the permutations themselves, a request at a time, so the chance of ever deciding
for equal arms is alpha at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, comb, inf, lcm, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from trimtab.learn.discordant import Tallies
from trimtab.learn.intervals import Interval
from trimtab.learn.paired import Scores, e_value, sequence

Floats = NDArray[np.float64]
_NORMAL = NormalDist()
_POINTS = 100_000  # of sums that are told apart; finer scores are rounded, in the law as in what was seen
_SLACK = 1e-9
_FAR = 10.0
_EARLY = 1 / 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How many requests there are at the end. `these`: judged as if there were no others, by one look at the end."""

    requests: int
    these: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What the tests say after `seen` requests (with a known outcome in both arms).

    `p_these` is for one look, two-sided, against "no difference on any of these requests", and decides at `level` here. `p_like` is
    one-sided, the way the estimate points, against "requests like these do not change on average"; before the end it is None.
    """

    plan: Plan
    alpha: float
    seen: int
    ended: bool
    p_these: float
    level: float
    p_like: float | None
    e_value: float

    @property
    def decides(self) -> bool:
        """Whether there is everything that a verdict needs."""
        like = self.p_like if self.ended else 1 / self.e_value
        return self.p_these <= self.level + _SLACK and (self.plan.these or like is None or like <= self.alpha + _SLACK)

    @property
    def text(self) -> str:
        """The evidence, and what it is evidence of."""
        needed = f"{self.level:.2g} is needed" if self.level else "too few of them differ for it to be low enough"
        these = f"on these {self.seen} requests p {self.p_these:.2g}, {needed}"
        if self.plan.these:
            return f"{these}; of other requests it says nothing"
        if self.ended:
            return f"{these}; for requests like these p {self.p_like:.2g}, {self.alpha:.2g} is needed"
        return f"{these} so far; for requests like these e-value {self.e_value:.3g}, {1 / self.alpha:.4g} is needed before the end"

    @property
    def rests(self) -> str:
        """What a verdict rests on."""
        if self.plan.these:
            return "how the runs of each request fell to the arms"
        return f"p-values at the planned end of {self.plan.requests} requests, or on e-value and p-value before"

    @property
    def unseen(self) -> str:
        """What no test on so many requests can know."""
        if self.plan.these:
            return ""
        return f"; a kind of request rarer than {100 * (1 - self.alpha ** (1 / self.seen)):.0f} % may not be among them"

    @property
    def missing(self) -> str:
        """What would decide it."""
        if not self.ended:
            return f"the planned end is at {self.plan.requests} requests"
        if (stretch := self.stretch) > _FAR:
            return "that is no more than chance makes"
        return f"if it stays so, about {max(1, ceil(self.seen * (stretch**2 - 1))):,} more requests decide"

    @property
    def stretch(self) -> float:
        """How many times as large the estimate had to be, at the end, to be only just decided: below 1 where it is."""
        pairs = [(self.p_these / 2, (self.level or self.alpha) / 2)]
        pairs += [] if self.p_like is None else [(self.p_like, self.alpha)]
        found = max(_deviate(level) / _deviate(p) if p < 0.5 else inf for p, level in pairs)  # noqa: PLR2004  # no sign of it
        # A p-value that just reaches its level is decided.
        return min(found, 0.999) if self.decides else max(found, 1.0)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a request could have added to the sum, from -reach to reach, and what it added."""

    law: Floats
    reach: int
    seen: int


def planned(tallies: Tallies, plan: Plan, alpha: float) -> Planned:
    """Test what is known of the first requests of a plan, in the order of the rows; a request without a pair adds nothing."""
    scores = _scores(tallies)
    bet = e_value(Scores.of(scores))
    ended = len(tallies.known) == plan.requests
    steps = _dealt(tallies)
    if plan.these:
        p_these, level = _looks(steps, [0.0] * (len(steps) - 1) + [alpha])
    else:
        p_these, level = _looks(steps, [alpha * _EARLY] * (len(steps) - ended) + [alpha] * ended)
    p_like = None
    if ended and not plan.these:
        p_like = _looks(_flipped(tallies), [0.0] * len(steps))[0] / 2
    return Planned(plan, alpha, scores.size, ended, p_these, level, p_like, bet)


def interval(tallies: Tallies, found: Planned) -> Interval:
    """Give the interval that goes with the verdict: 0 is outside where it is decided at the end, and inside where not.

    On the way it is the confidence sequence of the bet. At the end it is Student's, with the spread of scores between requests (of
    these requests: normal, with the spread of the dealt arms), to which one run more of either kind is added, so that requests that
    are all alike still leave room (Agresti & Min, Stat. Med. 24:729, 2005). Where it disagrees with the exact test about 0 it is
    the test-based one (Miettinen, Am. J. Epidemiol. 103:226, 1976).
    """
    scores, alpha = _scores(tallies), found.alpha
    estimate, n = float(scores.mean()), scores.size
    if not (found.ended or found.plan.these):
        return sequence(Scores.of(scores), alpha)
    if found.plan.these:
        spread, lattice = 0.0, _lattice(tallies)
        for step in _dealt(tallies):
            at = np.arange(-step.reach, step.reach + 1) / lattice
            spread += float(step.law @ at**2)
        deviate = -_NORMAL.inv_cdf(alpha / 2)
    else:
        spread = float(((scores - estimate) ** 2).sum()) * n / max(n - 1, 1)
        deviate = float(special.stdtrit(max(n - 1, 1), 1 - alpha / 2))  # pyright: ignore[reportUnknownMemberType]
    smallest = 1 / int(tallies.known.max())
    half = deviate * sqrt(spread + 2 * smallest**2) / n
    if estimate and found.decides != (half < abs(estimate)):
        half = abs(estimate) * found.stretch
    return Interval(estimate, max(-1.0, estimate - half), min(1.0, estimate + half), 1 - alpha)


def _scores(tallies: Tallies) -> Floats:
    shares = tallies.shares()
    return shares[:, 1] - shares[:, 0]


def _deviate(tail: float) -> float:
    return -_NORMAL.inv_cdf(min(max(tail, 1e-300), 0.5))


def _looks(steps: Sequence[_Step], spent: Sequence[float]) -> tuple[float, float]:
    """Say how likely a sum as far from 0 as the last is at one look, and how unlikely it has to be to decide there.

    `spent` is the chance, under the law of the steps, of having decided after each of them.
    """
    sums = undecided = np.ones(1)
    reach = seen = 0
    gone = level = 0.0
    for step, limit in zip(steps, spent, strict=True):
        sums, undecided = np.convolve(sums, step.law), np.convolve(undecided, step.law)
        reach, seen = reach + step.reach, seen + step.seen
        beyond = _beyond(undecided, reach)
        edge = int(np.argmax(gone + beyond <= limit + _SLACK))
        gone += float(beyond[edge])
        level = float(_beyond(sums, reach)[edge])
        undecided[: max(reach - edge + 1, 0)] = 0.0
        undecided[reach + edge :] = 0.0
    return float(_beyond(sums, reach)[abs(seen)]), level


def _beyond(law: Floats, reach: int) -> Floats:
    """The chance of a sum at least 0, 1, ... reach + 1 from 0; the last is none."""
    folded = law[reach:].copy()
    folded[1:] += law[:reach][::-1]
    return np.append(folded[::-1].cumsum()[::-1], 0.0)


def _lattice(tallies: Tallies) -> float:
    """In how many parts a score of 1 is counted."""
    known = tallies.known[tallies.paired]
    parts = lcm(*set(known.ravel().tolist()))
    return float(parts) if parts * len(known) <= _POINTS else _POINTS / len(known)


def _dealt(tallies: Tallies) -> list[_Step]:
    lattice = _lattice(tallies)
    return [
        _deal(known[0], known[1], right[0], right[1], lattice) if all(known) else _NOTHING
        for known, right in zip(tallies.known.tolist(), tallies.succeeded.tolist(), strict=True)
    ]


_NOTHING = _Step(np.ones(1), 0, 0)


@lru_cache(maxsize=4096)
def _deal(control: int, treated: int, right_control: int, right_treated: int, lattice: float) -> _Step:
    """Deal the arms anew among the runs of a request: how many of those that are right then are treated is hypergeometric."""
    right = right_control + right_treated
    ways = comb(control + treated, right)
    first, last = max(0, right - control), min(treated, right)
    score = {those: round(lattice * (those / treated - (right - those) / control)) for those in range(first, last + 1)}
    reach = max(map(abs, score.values()))
    law = np.zeros(2 * reach + 1)
    for those, at in score.items():
        law[reach + at] += comb(treated, those) * comb(control, right - those) / ways
    return _Step(law, reach, score[right_treated])


def _flipped(tallies: Tallies) -> list[_Step]:
    steps: list[_Step] = []
    for step in _dealt(tallies):
        law = np.zeros(2 * abs(step.seen) + 1)
        law[0] += 0.5
        law[-1] += 0.5
        steps.append(_Step(law, abs(step.seen), step.seen))
    return steps
