"""The runs of two arms that a break-even is measured on: an experiment's, or those of two role maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trimtab.cli.cost_models import price_book
from trimtab.cli.experiment_found import find, measured_now
from trimtab.core.errors import UsageError
from trimtab.core.measures import Assigned, RunMeasure
from trimtab.journal.reader import Journal
from trimtab.learn.measure import treated_in
from trimtab.learn.metrics import Cohort, cohort
from trimtab.learn.payback import Payback, payback

DEADLINE = timedelta(days=1)
_MAPS = "maps"


@dataclass(frozen=True, slots=True)
class Source:
    """What was compared, and what to know of it."""

    control: str
    treatment: str
    paybacks: Sequence[Payback]
    warnings: Sequence[str]


def of_experiment(name: str, store: Path, alpha: float) -> Source:
    """Compare the arms of an experiment; of a factorial one, every role on the same runs, alpha shared among them."""
    found = find(name, store)
    measured = measured_now(found, alpha)
    spec, counted = found.spec, measured.cohort.counted
    each = alpha / len(measured.readouts)
    paybacks = [payback(counted, treated_in(spec, r.role), alpha=each, role=r.role) for r in measured.readouts]
    alarms = dict.fromkeys(alarm for readout in measured.readouts for alarm in readout.verdict.alarms)
    warnings = [*alarms, *_of_cohort(measured.cohort)]
    if spec.factors:
        return Source("as the policy says", "the role's change", paybacks, warnings)
    return Source(spec.control, next(arm for arm in spec.arms if arm != spec.control), paybacks, warnings)


def of_maps(
    store: Path, since: datetime, maps: tuple[Sequence[str], Sequence[str]], policy_file: str, alpha: float
) -> Source:
    """Compare the runs whose pinned role map says one thing with those whose says another. Raises UsageError."""
    book = price_book(policy_file, datetime.now(UTC).date())
    wanted = [_map(given, side) for given, side in zip(maps, ("control", "treatment"), strict=True)]
    ids = [{role: book.full_id(model) for role, model in each.items()} for each in wanted]
    names = [", ".join(f"{role}={model}" for role, model in each.items()) for each in wanted]
    with Journal(store) as journal:
        runs = journal.measures(since=since)

    def has(run: RunMeasure, side: int) -> bool:
        return all(role in run.roles and book.same(run.roles[role], model) for role, model in ids[side].items())

    arms = {run.run_id: (has(run, 0), has(run, 1)) for run in runs}
    if any(all(sides) for sides in arms.values()):
        raise UsageError("some runs have both role maps", hint="name a role that has another model in each")
    split = Counter(sides for sides in arms.values() if any(sides))
    for side, name in enumerate(names):
        if not split[side == 0, side == 1]:
            text = f"{str(store)!r} has no run accepted since {since:%Y-%m-%d %H:%M} UTC with {name}"
            raise UsageError(text, hint="trimtab runs list; a run has the role map it was accepted with")
    share = split[False, True] / sum(split.values())
    put = [_assigned(run, treated=arms[run.run_id][1], share=share) for run in runs if any(arms[run.run_id])]
    found = cohort(put, _MAPS, DEADLINE, datetime.now(UTC))
    compared = payback(found.counted, lambda arm: arm == "treatment", alpha=alpha)
    warnings = [
        "nobody drew lots for these runs: they may differ in more than their models, in when they came in and what was asked",
        *_of_cohort(found),
    ]
    return Source(names[0], names[1], [compared], warnings)


def _of_cohort(found: Cohort) -> list[str]:
    told = ["simulated: no real model was asked"] if found.simulated else []
    waiting = len(found.pending) + found.behind
    return [*told, *([f"{waiting:,} runs have no outcome yet, or wait behind one that has none"] if waiting else [])]


def _map(given: Sequence[str], side: str) -> Mapping[str, str]:
    pairs = [pair.partition("=") for each in given for pair in each.split(",")]
    wrong = [f"{role}{equals}{model}" for role, equals, model in pairs if not (role.strip() and model.strip())]
    if wrong or not pairs:
        said = f" {wrong[0]!r}" if wrong else ""
        raise UsageError(f"--{side}{said}: expected ROLE=MODEL", hint=f"--{side} orchestrator=claude-haiku-4-5")
    return {role.strip(): model.strip() for role, _, model in pairs}


def _assigned(run: RunMeasure, *, treated: bool, share: float) -> RunMeasure:
    arm, chance = ("treatment", share) if treated else ("control", 1 - share)
    return replace(run, assigned=(Assigned(_MAPS, arm, chance, share),))
