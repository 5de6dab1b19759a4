"""Puts runs in flight on the old models again, by the word that lets a stalled run go on with other models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from trimtab.journal import rollouts
from trimtab.journal.reader import Journal
from trimtab.policy.rollout_kept import stage_name
from trimtab.policy.spec import DEFAULT_ROLE
from trimtab.rollouts.moves import Standing
from trimtab.word import resume_elsewhere


def migrate(store: Path, standing: Standing, *, by: str) -> int:
    """Let every run that got the new map and has not ended go on with the old models; gives how many. Their pin stays as it was written.

    What such a run has done stays done; only calls that it still makes are asked of the old models.
    """
    last = standing.last
    stages = [stage_name(last.name, last.attempt, n) for n in range(len(standing.spec.stages))]
    with Journal(store) as journal:
        runs = [run for stage in stages for run in journal.read(lambda c, name=stage: rollouts.in_flight(c, name))]
    return sum(
        resume_elsewhere(store, run_id, by=by, models=_old(standing.before[environment], roles))
        for run_id, environment, roles in runs
    )


def _old(before: Mapping[str, str], roles: Collection[str]) -> dict[str, str]:
    named = {role: before.get(role) or before.get(DEFAULT_ROLE) for role in roles}
    return {role: model for role, model in named.items() if model}
