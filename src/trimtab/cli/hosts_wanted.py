"""Which models the roles of an environment may run on now, by the policy, the rollouts in force and the experiments that run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from trimtab.core.errors import PolicyError
from trimtab.core.moves import ExperimentFact, RolloutFact
from trimtab.policy.assign import InForce, in_force, running
from trimtab.policy.resolve import resolve
from trimtab.policy.rollout_kept import spec_of
from trimtab.policy.spec import DEFAULT_ROLE, ExperimentSpec, Policy, RoleSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a role may run on: any of `models`; of `also` in an experiment, or where another gave no usable answer.

    `before`: what it ran before the newest change, which runs in flight keep until they have ended (`until`, at the latest).
    """

    models: tuple[str, ...]
    also: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    until: datetime | None = None

    def allows(self, model: str, at: datetime) -> bool:
        """Whether a model that was asked at that time was right then."""
        return model in {*self.models, *self.also} or (
            model in self.before and self.until is not None and at < self.until
        )


def wanted_of(
    policy: Policy,
    environment: str,
    roles: Collection[str],
    tried: Sequence[ExperimentFact],
    moves: Sequence[RolloutFact],
) -> Mapping[str, Wanted]:
    """Give what each role may run on; nothing of a role that the policy does not know any more."""
    reaching = in_force(environment, moves)
    trials = [spec for spec, _ in running(policy, environment, tried)]
    found: dict[str, Wanted] = {}
    for role in roles:
        with suppress(PolicyError):
            found[role] = _wanted(policy, environment, role, reaching, trials, moves)
    return found


def _wanted(
    policy: Policy,
    environment: str,
    role: str,
    reaching: Sequence[InForce],
    trials: Sequence[ExperimentSpec],
    moves: Sequence[RolloutFact],
) -> Wanted:
    sure, every = [one.whole for one in reaching if one.weight >= 1], [one.whole for one in reaching]
    file, least, most = (resolve(policy, environment, [role], drawn).choices[role] for drawn in ([], sure, every))
    arms = [changes for spec in trials for changes in (spec.factors, *spec.arms.values())]
    of_trials = {policy.model_id(model) for changes in arms for model in _models(changes, role)}
    moved = [(move, spec) for move in moves if (spec := spec_of(move.name, move.declared)) and _entry(spec.set, role)]
    models = tuple(dict.fromkeys((least.model, most.model)))
    return Wanted(
        models=models,
        also=frozenset({*least.escalate, *most.escalate, *of_trials}),
        before=frozenset({file.model, *(model for _, spec in moved for model in _models(spec.set, role))} - {*models}),
        until=max((move.at + spec.deadline for move, spec in moved), default=None),
    )


def _models(changes: Mapping[str, RoleSpec], role: str) -> Iterator[str]:
    if entry := _entry(changes, role):
        yield from (model for model in (entry.model, *(entry.escalate or ())) if model)


def _entry(changes: Mapping[str, RoleSpec], role: str) -> RoleSpec | None:
    return changes.get(role) or changes.get(DEFAULT_ROLE)
