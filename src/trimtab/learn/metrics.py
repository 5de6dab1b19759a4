"""Runs made outcomes: what one run counts as in each metric. Intention to treat: a run stays in the arm it was put into.

A run that has not stood still by its deadline has failed, and took forever. One that is younger is pending: it has no outcome yet.
Bets must see outcomes in the order the arms were drawn, so that how long a run takes cannot choose what is looked at; hence a
run that stands still behind a pending one waits for it, at most until its deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Literal, TypeAlias

from trimtab.core.measures import RunMeasure
from trimtab.policy.assign import CONTROL

MINUTES_PER_ASK = 5.0
Kind: TypeAlias = Literal["share", "ratio", "count", "quantile"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run as it counts. `weight` was the chance of the treatment when its arm was drawn; `latency_s` inf: it was late."""

    run_id: str
    workflow: str
    arm: str
    weight: float
    success: bool
    tokens: int
    usd: float | None
    latency_s: float
    retries: int
    cascade: tuple[str, ...]
    asks: int
    must_not: int | None = None
    accepted: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A run without an outcome yet, and when it gets one in any case."""

    run_id: str
    arm: str
    due: datetime


@dataclass(frozen=True, slots=True)
class Cohort:
    """The runs of one experiment. `counted` are in the order of assignment; `behind` wait for a pending one before them.

    `mismatched` are the runs that another model than the pinned one answered; `drawn` the arm and weight of every run there is.
    """

    counted: Sequence[Outcome]
    pending: Sequence[Pending]
    behind: int
    drawn: Sequence[tuple[str, float]]
    mismatched: Sequence[tuple[str, str, str]]
    simulated: bool


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to compare runs. `top` over `bottom` is summed over the runs of an arm; a quantile looks at `top` alone.

    `top` gives None where it is not known of a run.
    """

    name: str
    kind: Kind
    unit: str
    top: Callable[[Outcome], float | None]
    bottom: Callable[[Outcome], float] = lambda outcome: 1.0  # noqa: ARG005 - every run counts once
    more_is_better: bool = False
    quantile: float = 0.5


def _succeeded(outcome: Outcome) -> float:
    return float(outcome.success)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("decomposition_success", "share", "%", _succeeded, more_is_better=True),
        Metric("tokens_per_success", "ratio", "", lambda o: float(o.tokens), _succeeded),
        Metric("usd_per_success", "ratio", "$", lambda o: o.usd, _succeeded),
        Metric("latency_p50", "quantile", "s", lambda o: o.latency_s, quantile=0.5),
        Metric("latency_p95", "quantile", "s", lambda o: o.latency_s, quantile=0.95),
        Metric("latency_p99", "quantile", "s", lambda o: o.latency_s, quantile=0.99),
        Metric("retry_rate", "count", "", lambda o: float(o.retries)),
        Metric("cascade_rate", "count", "", lambda o: float(len(o.cascade))),
        Metric("asks", "count", "", lambda o: float(o.asks)),
        Metric("must_not", "count", "", lambda o: None if o.must_not is None else float(o.must_not)),
    )
}


def cohort(runs: Iterable[RunMeasure], experiment: str, deadline: timedelta, now: datetime) -> Cohort:
    """Sort out the runs of an experiment; `runs` are in the order they were accepted."""
    counted: list[Outcome] = []
    pending: list[Pending] = []
    drawn: list[tuple[str, float]] = []
    mismatched: list[tuple[str, str, str]] = []
    behind, simulated = 0, False
    for run in runs:
        arm = next((a for a in run.assigned if a.experiment == experiment), None)
        if arm is None:
            continue
        drawn.append((arm.arm, arm.weight))
        mismatched += [(run.run_id, pinned, response) for pinned, response in run.mismatches]
        simulated = simulated or run.simulated
        due = run.accepted + deadline
        if run.settled is None and now < due:
            pending.append(Pending(run.run_id, arm.arm, due))
        elif pending:
            behind += 1
        else:
            counted.append(_outcome(run, arm.arm, arm.weight, due))
    return Cohort(counted, pending, behind, drawn, mismatched, simulated)


def outcomes(runs: Iterable[RunMeasure], deadline: timedelta, now: datetime) -> list[Outcome]:
    """Give what runs count as that are in no experiment, or whatever arm they are in: all as of the old map."""
    found: list[Outcome] = []
    for run in runs:
        due = run.accepted + deadline
        if run.settled is not None or now >= due:
            found.append(_outcome(run, CONTROL, 0.0, due))
    return found


def _outcome(run: RunMeasure, arm: str, weight: float, due: datetime) -> Outcome:
    late = run.settled is None or run.settled > due
    return Outcome(
        run_id=run.run_id,
        workflow=run.workflow,
        arm=arm,
        weight=weight,
        success=run.success and not late,
        tokens=run.tokens,
        usd=None if run.cost is None else float(run.cost),
        latency_s=inf if late else run.latency_s or 0.0,
        retries=run.retries,
        cascade=run.cascade,
        asks=run.asks,
        must_not=run.must_not,
        accepted=run.accepted,
    )


def person_hours(asks: int, minutes_per_ask: float = MINUTES_PER_ASK) -> float:
    """Give the hours of people that so many questions cost."""
    return asks * minutes_per_ask / 60
