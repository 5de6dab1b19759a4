"""Experiments where policy and store meet: what new runs are put into, rollouts too, and how a person moves an experiment."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from trimtab.core.errors import UsageError
from trimtab.core.moves import ExperimentFact
from trimtab.engine.handin import hand_in
from trimtab.journal import experiments, rollouts
from trimtab.journal.newest import newest
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.learn.rollout import ACTIVE, from_json
from trimtab.policy.assign import RUNNING, STOPPED, Drawn, InForce, draw, in_force, is_as_declared, running
from trimtab.policy.experiment import declared
from trimtab.policy.problems import unknown
from trimtab.policy.rollout import shared_role
from trimtab.policy.rollout_kept import spec_of
from trimtab.policy.spec import DEFAULT_ROLE, ExperimentSpec, Policy

FRESH_FOR = 0.5  # seconds: a move is seen within one, and the store is not read for every run


@dataclass(slots=True)
class Running:
    """The experiments and rollouts of one environment that decide on new runs, as the store has them now."""

    policy: Policy
    environment: str
    store: Path
    _read_at: float = field(default=float("-inf"), init=False)
    _experiments: Sequence[tuple[ExperimentSpec, float]] = field(default=(), init=False)
    _rollouts: Sequence[InForce] = field(default=(), init=False)

    def draw(self, roles: Collection[str], key: str) -> list[Drawn]:
        """Put a run with this key into an arm of all that concerns one of its roles; an experiment's goes before a rollout's."""
        self._read()
        # Without any change an experiment compares a map with itself (A/A), which concerns every run.
        arms = [
            draw(spec, weight, key)
            for spec, weight in self._experiments
            if not spec.roles or _concerns(spec.roles, roles)
        ]
        return arms + [one.draw(key) for one in self._rollouts if _concerns(one.changes, roles)]

    def brought(self) -> list[Drawn]:
        """Give what each rollout in force brings."""
        self._read()
        return [one.whole for one in self._rollouts]

    def _read(self) -> None:
        if time.monotonic() - self._read_at <= FRESH_FOR:
            return
        experiments, rollouts = newest(self.store)
        self._experiments = running(self.policy, self.environment, experiments)
        self._rollouts = in_force(self.environment, rollouts)
        self._read_at = time.monotonic()


def _concerns(changed: Collection[str], roles: Collection[str]) -> bool:
    return DEFAULT_ROLE in changed or not set(changed).isdisjoint(roles)


def newest_moves(store: Path) -> Sequence[ExperimentFact]:
    """Give the newest move of every experiment; none where there is no store yet."""
    if not store.exists():
        return ()
    with Journal(store) as journal:
        return journal.experiments()


def start_experiment(store: Path, policy: Policy, name: str, *, by: str, weight: float | None, at: datetime) -> bool:
    """Let an experiment put runs into arms from now on, or change its weight (0 to 1; None: as it is, or the policy's).

    False when it runs so already. Raises UsageError where the policy does not declare it, or declares it otherwise than it was
    when it was started first: that would be another experiment, whose runs do not add up with those there are.
    """
    spec = declared_in(policy, name)

    def change(connection: Any) -> bool:
        before = experiments.moves(connection, name)
        if before and not is_as_declared(policy, spec, before[-1]):
            raise UsageError(
                f"{policy.source}: experiment {name!r} is declared otherwise than when it was started on {before[0].at:%Y-%m-%d}",
                hint="give it another name, or declare it as it was: trimtab experiment list",
            )
        _refuse_rollouts(connection, spec)
        share = weight if weight is not None else _kept_weight(spec, before)
        if before and (before[-1].state, before[-1].weight) == (RUNNING, share):
            return False
        kept = declared(spec, policy.model_id)
        fact = ExperimentFact(name, len(before), RUNNING, share, kept, by, "", at)
        SqliteFacts().write(connection, [fact])
        return True

    return hand_in(store, SqliteFacts(), change)


def stop_experiment(store: Path, name: str, *, by: str, reason: str, at: datetime) -> bool:
    """Put no run into an arm any more; runs that are in stay in. False when it does not run. Raises UsageError: no such one."""

    def change(connection: Any) -> bool:
        before = experiments.moves(connection, name)
        if not before:
            raise UsageError(f"no experiment {name!r} was started in {str(store)!r}", hint="trimtab experiment list")
        if before[-1].state != RUNNING:
            return False
        last = before[-1]
        fact = ExperimentFact(name, len(before), STOPPED, last.weight, last.declared, by, reason, at)
        SqliteFacts().write(connection, [fact])
        return True

    if not store.exists():
        raise UsageError(f"{str(store)!r}: no such store", hint="trimtab experiment start NAME makes it")
    return hand_in(store, SqliteFacts(), change)


def _refuse_rollouts(connection: Any, spec: ExperimentSpec) -> None:
    """Raise UsageError where a rollout under way changes a role of the experiment: its runs would get the experiment's arms."""
    for fact in rollouts.newest(connection):
        other = spec_of(fact.name, fact.declared)
        there = any(stage.environment == spec.environment for stage in other.stages)
        if there and shared_role(spec.roles, other.set) and from_json(fact.stages).state in ACTIVE:
            raise UsageError(
                f"rollout {fact.name!r} is under way in {spec.environment!r} and changes a role of experiment {spec.name!r}",
                hint=f"wait until it has passed, or abort it: trimtab rollout status {fact.name}",
            )


def _kept_weight(spec: ExperimentSpec, before: Sequence[ExperimentFact]) -> float:
    return before[-1].weight if before and before[-1].state == RUNNING else spec.weight


def declared_in(policy: Policy, name: str) -> ExperimentSpec:
    """Find an experiment of the policy. Raises UsageError naming those there are."""
    if name not in policy.experiments:
        if not policy.experiments:
            raise UsageError(f"{policy.source} declares no experiment", hint=f"add [experiments.{name}]")
        text, hint = unknown("experiment", name, policy.experiments)
        raise UsageError(f"{policy.source}: {text}", hint=hint or "trimtab experiment list")
    return policy.experiments[name]
