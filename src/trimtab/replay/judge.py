"""From replayed runs to a verdict: paired by request, repeats as clusters, what is unanswerable bounded.

Requests are looked at in the random order in which they were begun, one at a time and only when all their runs came to stand. How
many there are is planned, so most of alpha waits for the last of them, and looking after each is accounted for (`learn.planned`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from trimtab.core.errors import UsageError
from trimtab.learn.comparison import Comparison, Settings, compare
from trimtab.learn.decide import Goal, Verdict, decide
from trimtab.learn.discordant import Tallies
from trimtab.learn.intervals import Interval
from trimtab.learn.paired import Scores, e_value, sequence
from trimtab.learn.planned import Plan
from trimtab.learn.runs import Runs
from trimtab.replay.seen import Seen


@dataclass(frozen=True, slots=True)
class Change:
    """A request on which the majority of repeats differs between the arms."""

    request: str
    kind: str
    control: str
    candidate: str
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict on whole requests. `compared` None: no request has a known outcome in both arms."""

    verdict: Verdict
    compared: Comparison | None
    seen: Sequence[Seen]
    requests: Sequence[int]
    changed: Sequence[Change]


def judge(names: Sequence[str], blocks: Sequence[Sequence[Seen]], alpha: float, *, these: bool = False) -> Judged:
    """Judge whole requests together; `names` are those of the arms and then of every request.

    `these`: as if there were no other requests; for one look, when every run was made.
    """
    control, candidate, *requests = names
    seen = [one for block in blocks for one in block]
    order = [block[0].job.request for block in blocks]
    runs = _runs(control, candidate, [requests[n] for n in order], blocks)
    try:
        compared = compare(runs, Settings(alpha=alpha, paired=True, plan=Plan(len(requests), these)))
    except UsageError:
        compared = None
    verdict = compared.verdict if compared else _nothing(seen, alpha)
    if mismatches := sum(one.mismatches > 0 for one in seen):
        verdict = decide(Goal("success", None, None), alpha=alpha, pin_mismatches=mismatches)
    return Judged(verdict, compared, seen, order, _changes(runs, blocks))


def not_whole(judged: Judged, alpha: float) -> Judged:
    """Take a verdict on these very requests back that was given before every run was made: it is for one look."""
    missing = "not every run was made, and these requests are judged at the end only"
    return replace(judged, verdict=decide(Goal("success", None, None, missing=missing), alpha=alpha))


def arm_interval(judged: Judged, arm: int, alpha: float) -> Interval | None:
    """Give the share of successes of one arm, each request counted once, with what is known; valid at any time.

    The bet on a mean in [-1, 1] (`learn.paired`), on shares scaled to that.
    """
    found: list[float] = []
    for request in judged.requests:
        known = [
            s.success for s in judged.seen if (s.job.request, s.job.arm) == (request, arm) and s.success is not None
        ]
        found += [sum(known) / len(known)] if known else []
    if not found:
        return None
    scaled = sequence(Scores.of(2 * np.array(found, dtype=np.float64) - 1), alpha)
    low, middle, high = ((end + 1) / 2 for end in (scaled.low, scaled.estimate, scaled.high))
    return Interval(middle, low, high, scaled.level)


def on_these(judged: Judged) -> float:
    """E-value against "over these very requests, as if there were no others, the arms are alike"; for one look, at the end.

    Every repeat is a pair of its own. Given its request a repeat is independent of all others, so the expected product of
    1 + x * score is the product of 1 + x * difference over requests, which is at most 1 where the differences add up to 0 (the
    geometric mean is at most the arithmetic). No verdict rests on it: `learn.planned` is sharper.
    """
    scores: list[float] = []
    for request in judged.requests:
        known = [
            [
                float(s.success)
                for s in judged.seen
                if (s.job.request, s.job.arm) == (request, arm) and s.success is not None
            ]
            for arm in (0, 1)
        ]
        scores += [after - before for before, after in zip(*known, strict=False)]
    return e_value(Scores.of(np.array(scores, dtype=np.float64)))


def _runs(control: str, candidate: str, units: Sequence[str], blocks: Sequence[Sequence[Seen]]) -> Runs:
    placed = [(place, one) for place, block in enumerate(blocks) for one in block]
    costs = [nan if one.cost is None else float(one.cost) for _, one in placed]
    return Runs(
        control=control,
        treatment=candidate,
        units=units,
        unit=np.array([place for place, _ in placed], dtype=np.int64),
        treated=np.array([one.job.arm == 1 for _, one in placed], dtype=np.bool_),
        success=np.array([-1 if one.success is None else int(one.success) for _, one in placed], dtype=np.int8),
        cost=np.array(costs, dtype=np.float64),
        latency=np.array([one.latency_s for _, one in placed], dtype=np.float64),
        propensity=None,
        must_not={},
        ordered=True,
        warnings=[],
    )


def _nothing(seen: Sequence[Seen], alpha: float) -> Verdict:
    missing = "no request has a known outcome in both arms" if seen else "no request was replayed to its end"
    return decide(Goal("success", None, None, missing=missing), alpha=alpha)


def _changes(runs: Runs, blocks: Sequence[Sequence[Seen]]) -> list[Change]:
    if not blocks:
        return []
    tallies = Tallies.count(runs.unit, runs.treated, runs.success, len(runs.units))
    found: list[Change] = []
    for place, block in enumerate(blocks):
        right = [_majority(int(tallies.succeeded[place, arm]), int(tallies.failed[place, arm])) for arm in (0, 1)]
        if None in right or right[0] == right[1]:
            continue
        # Of each arm the run to look into: one that did as most of them did.
        shown = [next(one for one in block if one.job.arm == arm and one.success == right[arm]) for arm in (0, 1)]
        failed = shown[0] if right[1] else shown[1]
        why = "; ".join([failed.status, *failed.notes])
        kind = "fixed" if right[1] else "broken"
        found.append(Change(runs.units[place], kind, shown[0].run_id, shown[1].run_id, why))
    return found


def _majority(succeeded: int, failed: int) -> bool | None:
    return None if succeeded == failed else succeeded > failed
