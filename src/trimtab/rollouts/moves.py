"""How a rollout stands in a store, and how somebody moves it: one line added, or a refusal; never two at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from trimtab.core.errors import UsageError
from trimtab.core.moves import RolloutFact
from trimtab.core.values import Json
from trimtab.engine.handin import hand_in
from trimtab.journal import experiments, rollouts
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.learn import rollout as machine
from trimtab.learn.rollout import ACTIVE, Event, Refused, Rollout
from trimtab.policy.assign import RUNNING
from trimtab.policy.problems import unknown
from trimtab.policy.resolve import models
from trimtab.policy.rollout import shared_role
from trimtab.policy.rollout_kept import declared, spec_of
from trimtab.policy.rollout_spec import RolloutSpec
from trimtab.policy.spec import DEFAULT_ROLE, Policy
from trimtab.rollouts.adopt import adopt
from trimtab.rollouts.left import left


@dataclass(frozen=True, slots=True)
class Standing:
    """A rollout as a store has it: every move, the oldest first, what it was when it was started, and how its stages stand."""

    moves: tuple[RolloutFact, ...]
    spec: RolloutSpec
    rollout: Rollout

    @property
    def last(self) -> RolloutFact:
        """The newest move."""
        return self.moves[-1]

    @property
    def before(self) -> Mapping[str, Mapping[str, str]]:
        """Environment -> role -> full model id that ran before this attempt."""
        return cast("Any", self._begun.evidence)["from"]

    @property
    def after(self) -> Mapping[str, Mapping[str, str]]:
        """Environment -> role -> full model id that this attempt brings."""
        return cast("Any", self._begun.evidence)["to"]

    @property
    def _begun(self) -> RolloutFact:
        return next(move for move in reversed(self.moves) if move.event == "start")


def read(store: Path, name: str) -> Standing | None:
    """Read how a rollout stands; None: it was never started there."""
    if not store.exists():
        return None
    with Journal(store) as journal:
        moves = journal.read(lambda connection: rollouts.moves(connection, name))
    return _standing(moves) if moves else None


def find(store: Path, name: str) -> Standing:
    """Read how a rollout stands. Raises UsageError naming those there are."""
    if found := read(store, name):
        return found
    known = [fact.name for fact in newest(store)]
    started = f"; started were {', '.join(known)}" if known else ""
    raise UsageError(
        f"no rollout {name!r} was started in {str(store)!r}{started}", hint=f"trimtab rollout start {name} --by WHO"
    )


def newest(store: Path) -> tuple[RolloutFact, ...]:
    """Give the newest move of every rollout of a store, by name."""
    if not store.exists():
        return ()
    with Journal(store) as journal:
        return journal.read(rollouts.newest)


def declared_in(policy: Policy, name: str) -> RolloutSpec:
    """Find a rollout of the policy. Raises UsageError naming those there are."""
    if name not in policy.rollouts:
        if not policy.rollouts:
            raise UsageError(f"{policy.source} declares no rollout", hint=f"add [rollouts.{name}]")
        text, hint = unknown("rollout", name, policy.rollouts)
        raise UsageError(f"{policy.source}: {text}", hint=hint or "trimtab rollout status")
    return policy.rollouts[name]


def change_of(policy: Policy, spec: RolloutSpec) -> dict[str, Json]:
    """Give `from` and `to`: environment -> role -> full model id, of the roles that the rollout changes. Raises PolicyError."""
    was_there: dict[str, Json] = {}
    brought: dict[str, Json] = {}
    for environment in dict.fromkeys(stage.environment for stage in spec.stages):
        there = policy.environments.get(environment)
        named = {*policy.roles, *(there.roles if there else ())}
        # A change of the default is one of every role; those that nobody named are told of by that word.
        roles = {*spec.set, *named} if DEFAULT_ROLE in spec.set else set(spec.set)
        unsaid = set[str]() if DEFAULT_ROLE in named else {DEFAULT_ROLE}
        was = models(policy, environment, roles - unsaid)
        asked = {role: (spec.set.get(role) or spec.set[DEFAULT_ROLE]).model for role in was}
        was_there[environment] = was
        brought[environment] = {role: policy.model_id(model) if model else was[role] for role, model in asked.items()}
    return {"from": was_there, "to": brought}


def start_rollout(
    store: Path, policy: Policy, name: str, *, by: str, at: datetime, reason: str = "", evidence: Mapping[str, Json]
) -> RolloutFact:
    """Start a rollout of the policy: its first stage is running. `evidence` is what it rests on.

    Raises UsageError where it is not declared, runs already, changes nothing, has hosts that are not proved back, or another rollout or
    experiment changes the same.
    """
    spec = declared_in(policy, name)
    refuse_start(store, policy, name, at)
    change = change_of(policy, spec)
    if change["from"] == change["to"] and all(entry.model and entry.prompt is None for entry in spec.set.values()):
        raise UsageError(
            f"rollout {name!r} changes nothing: {policy.source} says so already", hint="trimtab policy show --explain"
        )

    # What passed before, and what the file speaks of anew, is no rollout any more: the next one starts from the file.
    for environment in dict.fromkeys(stage.environment for stage in spec.stages):
        adopt(store, policy, environment, by=by, at=at)

    def begin(connection: Any) -> RolloutFact:
        before = rollouts.moves(connection, name)
        _refuse_overlap(connection, spec)
        stands = _standing(before).rollout if before else machine.new(len(spec.stages))
        # One that has passed and that the file has overtaken everywhere is over.
        if stands.state in ACTIVE or (stands.state == "passed" and before[-1].weights):
            moved = machine.move(stands, "start", at)
            assert isinstance(moved, Refused)
            raise _refusal(name, moved)
        started = machine.move(machine.new(len(spec.stages)), "start", at)
        assert isinstance(started, Rollout)
        fact = RolloutFact(
            name=name,
            number=len(before),
            attempt=before[-1].attempt + 1 if before else 1,
            event="start",
            stages=started.as_json(),
            weights=started.weights(spec.stages),
            declared=declared(spec, policy.model_id),
            by=by,
            reason=reason,
            evidence={**evidence, **change},
            at=at,
        )
        SqliteFacts().write(connection, [fact])
        return fact

    return hand_in(store, SqliteFacts(), begin)


def refuse_start(store: Path, policy: Policy, name: str, at: datetime) -> None:
    """Raise UsageError where a rollout that was started before cannot be started anew, as it stands."""
    standing = read(store, name)
    if standing is None:
        return
    moved = machine.move(standing.rollout, "start", at)
    # One that has passed may be over all the same: the start looks again when it knows what the file says.
    if isinstance(moved, Refused) and standing.rollout.state != "passed":
        raise _refusal(name, moved)
    # What such a host runs would be taken for what it ran before, and an undo would bring it back to that.
    if (still := left(store, policy, standing)).places:
        raise UsageError(
            f"rollout {name!r} is {standing.rollout.state}, and not proved back: {still.hosts}",
            hint=f"trimtab rollout abort {name}",
        )


def move_rollout(
    store: Path,
    name: str,
    event: Event,
    *,
    by: str,
    at: datetime,
    reason: str = "",
    evidence: Mapping[str, Json] | None = None,
    seen: int | None = None,
) -> RolloutFact | Refused | None:
    """Move a rollout that was started; None where another move was made since the one numbered `seen`, which this rests on.

    Raises UsageError where it was never started.
    """

    def change(connection: Any) -> RolloutFact | Refused | None:
        before = rollouts.moves(connection, name)
        if not before:
            return None
        stands, last = _standing(before), before[-1]
        if seen is not None and last.number != seen:
            return None
        moved = machine.move(stands.rollout, event, at)
        if isinstance(moved, Refused):
            return moved
        fact = RolloutFact(
            name=name,
            number=last.number + 1,
            attempt=last.attempt,
            event=event,
            stages=moved.as_json(),
            weights=moved.weights(stands.spec.stages),
            declared=last.declared,
            by=by,
            reason=reason,
            evidence=dict(evidence or {}),
            at=at,
        )
        SqliteFacts().write(connection, [fact])
        return fact

    find(store, name)
    return hand_in(store, SqliteFacts(), change)


def _standing(moves: tuple[RolloutFact, ...]) -> Standing:
    last = moves[-1]
    return Standing(moves, spec_of(last.name, last.declared), machine.from_json(last.stages))


def _refusal(name: str, refused: Refused) -> UsageError:
    return UsageError(f"rollout {name!r}: {refused.why}", hint=refused.hint)


def _refuse_overlap(connection: Any, spec: RolloutSpec) -> None:
    """Raise UsageError where something else in force changes a role of this rollout in one of its environments."""
    there = {stage.environment for stage in spec.stages}
    for fact in rollouts.newest(connection):
        other = spec_of(fact.name, fact.declared)
        stands = machine.from_json(fact.stages)
        passed = stands.state == "passed"
        same = there & (set(cast("Any", fact.weights)) if passed else {stage.environment for stage in other.stages})
        if fact.name != spec.name and stands.state in {*ACTIVE, "passed"} and same and shared_role(spec.set, other.set):
            raise UsageError(
                f"rollout {fact.name!r} is {stands.state} and changes role {shared_role(spec.set, other.set)!r} in {min(same)!r}, too",
                hint=f"say in [roles] what it brought, or take it back: trimtab rollout undo {fact.name}"
                if passed
                else f"wait until it has passed, or take it back: trimtab rollout undo {fact.name}",
            )
    for fact in experiments.newest(connection):
        kept = cast("Any", fact.declared)
        changed = {*kept["factors"], *(role for arm in kept["arms"].values() for role in arm)}
        if fact.state == RUNNING and kept["environment"] in there and shared_role(spec.set, changed):
            raise UsageError(
                f"experiment {fact.name!r} runs in {kept['environment']!r} and changes role {shared_role(spec.set, changed)!r}, too",
                hint=f"stop it first: trimtab experiment stop {fact.name}",
            )
