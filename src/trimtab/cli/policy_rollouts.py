"""What the rollouts of a store have to say to a role map: which of them reach new runs, and where the file says otherwise."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trimtab.cli.rollout_edited import edited_since
from trimtab.core.errors import StoreBrokenError
from trimtab.core.pin import ORCHESTRATOR
from trimtab.core.values import dumps
from trimtab.journal.newest import newest
from trimtab.learn.rollout import ACTIVE, ENDED, from_json
from trimtab.policy.assign import Drawn, InForce, in_force, running
from trimtab.policy.resolve import is_said, resolve
from trimtab.policy.rollout_kept import declared, spec_of
from trimtab.policy.spec import DEFAULT_ENVIRONMENT, DEFAULT_ROLE, TERMINAL_ROLE
from trimtab.rollouts.moves import read

if TYPE_CHECKING:
    from trimtab.core.moves import ExperimentFact, RolloutFact
    from trimtab.core.pin import RoleChoice
    from trimtab.learn.rollout import Rollout
    from trimtab.policy.resolve import Resolved
    from trimtab.policy.spec import Policy


@dataclass(frozen=True, slots=True)
class Moved:
    """How a rollout stands in one environment. `reaches` is None where no new run there gets what it brings."""

    fact: RolloutFact
    stands: Rollout
    stages: int
    reaches: InForce | None
    roles: frozenset[str]
    differs: str

    @property
    def ended(self) -> bool:
        """Whether it was taken back."""
        return self.stands.state in ENDED

    @property
    def state(self) -> str:
        """How it stands, in words."""
        at = self.stands.at
        return self.stands.state if at is None else f"{self.stands.state} at stage {at + 1} of {self.stages}"


@dataclass(frozen=True, slots=True)
class Map:
    """The role map of an environment.

    file:    what the file says. now: what runs get that no rollout reaches a part of. reached: what the others get.
    tried:   the roles that experiments change now.
    """

    file: Resolved
    now: Resolved
    reached: Resolved
    rollouts: Sequence[Moved]
    experiments: Sequence[ExperimentFact]
    tried: frozenset[str]

    def by(self, role: str) -> Moved | None:
        """Give the rollout that reaches a part of the runs and brings a change of this role."""
        return next((moved for moved in self.rollouts if _part(moved) and _changes(moved.roles, role)), None)

    def decided(self, role: str) -> str:
        """Say what decides on a role: experiment, rollout, abort (the file again, since a rollout was taken back) or file."""
        if _changes(self.tried, role):
            return "experiment"
        if self.reached.choices[role] != self.file.choices[role] or self.by(role):
            return "rollout"
        return "abort" if self.taken_back(role) else "file"

    def taken_back(self, role: str) -> Moved | None:
        """Give the rollout that brought a change of this role and was taken back."""
        return next((moved for moved in self.rollouts if moved.ended and _changes(moved.roles, role)), None)


def map_of(policy: Policy, environment: str, store: Path, roles: Collection[str]) -> Map:
    """Resolve what new runs of an environment get now.

    `roles` are those of the application; where it is not known (empty), those that the file and rollouts in force name. Raises PolicyError.
    """
    experiments, facts = newest(store)
    rollouts = [moved for fact in facts if (moved := _moved(policy, environment, fact))]
    known = roles or _named(policy, environment, rollouts)
    # What the file says too is decided by the file.
    whole = [
        moved.reaches.whole
        for moved in rollouts
        if moved.reaches and not _part(moved) and not is_said(policy, environment, moved.reaches.changes)
    ]
    parts = [moved.reaches.whole for moved in rollouts if moved.reaches and _part(moved)]

    def with_(drawn: Sequence[Drawn]) -> Resolved:
        return resolve(policy, environment, known, drawn)

    tried = {role for spec, _ in running(policy, environment, experiments) for role in spec.roles}
    return Map(with_(()), with_(whole), with_([*parts, *whole]), rollouts, experiments, frozenset(tried))


def _named(policy: Policy, environment: str, rollouts: Sequence[Moved]) -> set[str]:
    brought = {role for moved in rollouts if moved.reaches for role in moved.roles}
    there = policy.environments.get(environment)
    tables = [policy.roles, *([there.roles] if there else [])]
    # Of a role that the file gives no model nothing can be said but by its application.
    staffed = {role for role in brought if any(name in table for table in tables for name in (role, DEFAULT_ROLE))}
    return ({*policy.roles, ORCHESTRATOR} | staffed) - {DEFAULT_ROLE, TERMINAL_ROLE}


def _part(moved: Moved) -> bool:
    return moved.reaches is not None and moved.reaches.weight < 1


def _changes(changed: frozenset[str], role: str) -> bool:
    return role in changed or DEFAULT_ROLE in changed


def _moved(policy: Policy, environment: str, fact: RolloutFact) -> Moved | None:
    spec, stands = spec_of(fact.name, fact.declared), from_json(fact.stages)
    if all(stage.environment != environment for stage in spec.stages):
        return None
    # What was taken back and is no longer in the file is history.
    if stands.state in ENDED and fact.name not in policy.rollouts:
        return None
    reaches = next(iter(in_force(environment, [fact])), None)
    return Moved(fact, stands, len(spec.stages), reaches, frozenset(spec.set), _differs(policy, fact, stands))


def _differs(policy: Policy, fact: RolloutFact, stands: Rollout) -> str:
    """Say where the file and a rollout that reaches runs, or will, do not agree."""
    if stands.state in ENDED:
        return ""
    if stands.state == "passed":
        weights, changes = cast("Mapping[str, float]", fact.weights), spec_of(fact.name, fact.declared).set
        known = {*policy.environments, DEFAULT_ENVIRONMENT}
        others = sorted(there for there in weights if there in known and not is_said(policy, there, changes))
        said = f"say what it brought in the file: {_as_toml(fact)}"
        where = ", ".join(map(repr, others))
        return f"has passed and stays in force, while the file says otherwise in {where}; {said}" if others else ""
    if fact.name not in policy.rollouts:
        return "goes on as it was started; the file no longer declares it"
    same = dumps(declared(policy.rollouts[fact.name], policy.model_id)) == dumps(fact.declared)
    return "" if same else "goes on as it was started; the file declares it otherwise since"


def _as_toml(fact: RolloutFact) -> str:
    """Write what a rollout sets as the file would say it."""
    changes: Mapping[str, Mapping[str, Any]] = cast("Any", fact.declared)["set"]
    return ", ".join(_entry(role, entry) for role, entry in changes.items())


def _entry(role: str, entry: Mapping[str, Any]) -> str:
    said = {key: json.dumps(value) for key, value in entry.items() if key != "instructions"}
    if role == TERMINAL_ROLE and "model" in entry:
        return f"model = {json.dumps(entry['model'].partition(':')[2])} under [terminal]"
    if set(said) == {"model"}:
        return f"{role} = {said['model']}"
    return f"{role} = {{ {', '.join(f'{key} = {value}' for key, value in said.items())} }}"


def in_words(there: Map, *, every: bool) -> Iterator[str]:
    """Say of rollouts how they stand and whom they reach; of `every` one, those that reach nobody, too."""
    for moved in there.rollouts if every else [moved for moved in there.rollouts if moved.reaches]:
        fact, name = moved.fact, f"rollout {moved.fact.name}"
        since = f"since {fact.at:%Y-%m-%d %H:%M} by {fact.by}"
        if moved.reaches is None:
            why = f" ({fact.reason})" if fact.reason else ""
            yield f"{name}: {moved.state} {since}{why}; new runs get what the file says"
        else:
            share = f"{moved.reaches.weight * 100:.4g} % of new runs"
            yield f"{name}: {moved.state} {since}; {share} get {_brought(there, moved)}"
        if moved.differs:
            yield f"  it {moved.differs}"


def _brought(there: Map, moved: Moved) -> str:
    told = [
        f"{role} {_in_short(there.reached.choices[role])} instead of {_in_short(there.file.choices[role])}"
        for role in there.file.choices
        if _changes(moved.roles, role) and there.reached.choices[role] != there.file.choices[role]
    ]
    return ", ".join(told) or "what the file says, too"


def _in_short(choice: RoleChoice) -> str:
    effort = f" at effort {choice.effort}" if choice.effort else ""
    return f"{choice.model}{effort}"


def as_json(moved: Moved, there: Map) -> Mapping[str, Any]:
    """Give one rollout as JSON."""
    at = moved.stands.at
    return {
        "name": moved.fact.name,
        "state": moved.stands.state,
        "stage": None if at is None else at + 1,
        "stages": moved.stages,
        "attempt": moved.fact.attempt,
        "since": moved.fact.at,
        "by": moved.fact.by,
        "reason": moved.fact.reason,
        "share": moved.reaches.weight if moved.reaches else 0.0,
        "roles": {
            role: there.reached.choices[role].model
            for role in there.file.choices
            if moved.reaches and _changes(moved.roles, role)
        },
        "differs": moved.differs or None,
    }


def differences(policy: Policy, store: Path) -> list[str]:
    """Give a warning for every rollout that the file does not agree with."""
    told: list[str] = []
    try:
        for fact in newest(store)[1]:
            stands = from_json(fact.stages)
            if differs := _differs(policy, fact, stands):
                told.append(f"rollout {fact.name!r} {differs}")
            if stands.state in ACTIVE and (standing := read(store, fact.name)):
                told += [f"rollout {fact.name!r}: {edit}" for edit in edited_since(policy, standing)]
    except StoreBrokenError as error:
        # Whether the file is right does not depend on the store.
        told.append(str(error).partition("\n")[0])
    return told
