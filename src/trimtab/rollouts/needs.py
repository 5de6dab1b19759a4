"""What a rollout needs before it may start: an experiment whose verdict is `ship`, with its figures as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from trimtab.core.errors import UsageError
from trimtab.core.values import Json
from trimtab.journal.reader import Journal
from trimtab.policy.experiment import spec_of
from trimtab.policy.rollout_spec import RolloutSpec


def verdict_of(store: Path, spec: RolloutSpec, now: datetime) -> Mapping[str, Json]:
    """Give the verdict that a rollout rests on, as evidence (empty: it needs none).

    Raises UsageError where the experiment was never started or does not say `ship`, ModuleNotFoundError without the extra `learn`.
    """
    if spec.needs is None:
        return {}
    if not store.exists():
        raise _not_shipped(spec, "was never started")
    with Journal(store) as journal:
        moves = journal.moves(spec.needs)
        runs = journal.measures(experiment=spec.needs) if moves else []
    if not moves:
        raise _not_shipped(spec, "was never started")
    # numpy is slow to import, and most rollouts need nothing.
    from trimtab.learn.measure import measure
    from trimtab.learn.metrics import cohort

    experiment = spec_of(spec.needs, moves[-1].declared, moves[-1].weight)
    measured = measure(experiment, cohort(runs, spec.needs, experiment.deadline, now))
    verdicts = [readout.verdict for readout in measured.readouts]
    if other := next((v for v in verdicts if v.verdict != "ship"), None):
        raise _not_shipped(spec, f"says {other.verdict}: {other.reason}")
    return {"needs": {"experiment": spec.needs, "verdict": "ship", "reason": "; ".join(v.reason for v in verdicts)}}


def _not_shipped(spec: RolloutSpec, how: str) -> UsageError:
    return UsageError(
        f"rollout {spec.name!r} needs experiment {spec.needs!r} to say ship, which {how}",
        hint=f"trimtab experiment status {spec.needs}; to start without it: --without-needs REASON",
    )
