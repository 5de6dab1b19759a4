"""Which arm of an experiment a run gets, and whether a rollout reaches it: by a hash of its key, nested in the weight.

Only an experiment that was started, and is declared as it was when it was started, puts runs into arms. A rollout that was started
is what it was then, whatever the file says since: half a rollout under another declaration would be two changes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from typing import cast

from trimtab.core.moves import ExperimentFact, RolloutFact
from trimtab.core.values import dumps
from trimtab.policy.experiment import declared
from trimtab.policy.rollout_kept import spec_of, stage_name
from trimtab.policy.spec import ExperimentSpec, Policy, RoleSpec

CONTROL = "control"
TREATMENT = "treatment"
RUNNING = "running"
STOPPED = "stopped"
_STEPS = 2**64


@dataclass(frozen=True, slots=True)
class Drawn:
    """The arm a run was put into, how likely that was, and what is different there.

    `weight` was the chance of the treatment (of each factor, drawn for itself) at that moment. `path` names the changes in the file.
    """

    experiment: str
    arm: str
    propensity: float
    weight: float
    changes: Mapping[str, RoleSpec]
    path: tuple[str, ...]


def draw(spec: ExperimentSpec, weight: float, key: str) -> Drawn:
    """Put a run with this key into an arm; `weight` is the share of runs (0 to 1) that get the treatment, of each factor.

    The place of a key never moves: growing the weight only moves runs from control to treatment, and shrinking it back. Each
    factor of a factorial experiment has places of its own, so that factors are independent of each other.
    """
    if spec.factors:
        treated = {role: place(f"{spec.name}\0{role}", key) < weight for role in sorted(spec.factors)}
        arm = "+".join(role for role, is_treated in treated.items() if is_treated) or CONTROL
        likely = prod(weight if is_treated else 1 - weight for is_treated in treated.values())
        changes = {role: spec.factors[role] for role in spec.factors if treated[role]}
        return Drawn(spec.name, arm, likely, weight, changes, ("experiments", spec.name, "factors"))
    is_treated = place(spec.name, key) < weight
    arm = next(name for name in spec.arms if (name != spec.control) == is_treated)
    likely = weight if is_treated else 1 - weight
    return Drawn(spec.name, arm, likely, weight, spec.arms[arm], ("experiments", spec.name, "arms", arm))


def place(name: str, key: str) -> float:
    """Give the place of a key in [0, 1), uniform over keys and independent between names."""
    return int.from_bytes(sha256(f"{name}\0{key}".encode()).digest()[:8]) / _STEPS


def every_arm(policy: Policy, environment: str) -> Iterator[Drawn]:
    """Give every change that a run accepted there may meet, each arm and each factor once."""
    for spec in policy.experiments.values():
        if spec.environment != environment:
            continue
        for arm, changes in spec.arms.items():
            yield Drawn(spec.name, arm, 1.0, 1.0, changes, ("experiments", spec.name, "arms", arm))
        for role, entry in spec.factors.items():
            yield Drawn(spec.name, role, 1.0, 1.0, {role: entry}, ("experiments", spec.name, "factors"))
    for rollout in policy.rollouts.values():
        if any(stage.environment == environment for stage in rollout.stages):
            yield Drawn(rollout.name, TREATMENT, 1.0, 1.0, rollout.set, _set_of(rollout.name))


def running(policy: Policy, environment: str, moves: Iterable[ExperimentFact]) -> list[tuple[ExperimentSpec, float]]:
    """Give the experiments that put runs into arms now, with their weights; `moves` has the newest of each experiment."""
    newest = {move.name: move for move in moves if move.state == RUNNING}
    there = [spec for _, spec in sorted(policy.experiments.items()) if spec.environment == environment]
    return [
        (spec, newest[spec.name].weight)
        for spec in there
        if spec.name in newest and is_as_declared(policy, spec, newest[spec.name])
    ]


def is_as_declared(policy: Policy, spec: ExperimentSpec, move: ExperimentFact) -> bool:
    """Whether an experiment still is what it was when it was started: runs of two experiments do not add up to one."""
    return dumps(declared(spec, policy.model_id)) == dumps(move.declared)


@dataclass(frozen=True, slots=True)
class InForce:
    """A rollout that reaches a share (`weight`, over 0 to 1) of the new runs of one environment.

    `stage` (from 0) is the one that gave it this weight there: a later one may be under way in another environment.
    """

    name: str
    attempt: int
    stage: int
    weight: float
    changes: Mapping[str, RoleSpec]

    @property
    def whole(self) -> Drawn:
        """What a run gets that it reaches."""
        return self._drawn(TREATMENT, self.weight, self.changes)

    def draw(self, key: str) -> Drawn:
        """Say whether it reaches a run with this key.

        The place of a key depends on the rollout's name alone: a run that one stage reaches is reached by every stage of a larger
        weight, in every environment, and when the rollout is started again.
        """
        if place(f"rollout\0{self.name}", key) < self.weight:
            return self.whole
        return self._drawn(CONTROL, 1 - self.weight, {})

    def _drawn(self, arm: str, likely: float, changes: Mapping[str, RoleSpec]) -> Drawn:
        cohort = stage_name(self.name, self.attempt, self.stage)
        return Drawn(cohort, arm, likely, self.weight, changes, _set_of(self.name))


def in_force(environment: str, moves: Iterable[RolloutFact]) -> list[InForce]:
    """Give the rollouts that reach runs accepted there now, by name; `moves` has the newest of each rollout."""
    return [one for move in sorted(moves, key=lambda move: move.name) if (one := _in_force(environment, move))]


def _in_force(environment: str, move: RolloutFact) -> InForce | None:
    weight = cast("Mapping[str, float]", move.weights).get(environment, 0.0)
    if weight <= 0:
        return None
    spec = spec_of(move.name, move.declared)
    # The weights of one environment grow from stage to stage, so that its weight tells the stage.
    reached = [n for n, stage in enumerate(spec.stages) if stage.environment == environment and stage.weight <= weight]
    return InForce(move.name, move.attempt, max(reached, default=0), weight, spec.set)


def rolled(environment: str, moves: Iterable[RolloutFact], key: str) -> list[Drawn]:
    """Say of every rollout in force there whether it reaches a run with this key; `moves` has the newest of each rollout."""
    return [one.draw(key) for one in in_force(environment, moves)]


def _set_of(rollout: str) -> tuple[str, ...]:
    return "rollouts", rollout, "set"
