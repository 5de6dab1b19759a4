"""A rollout that has passed decides until somebody edits what the file says of its roles: from then on the file alone decides.

It does not matter whether the file says what the rollout brought or a third thing: a key that is written and does nothing is what this
product exists against. Without a line that says so, the rollout would be in force again on the day the file says the old model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from trimtab.core.moves import RolloutFact
from trimtab.engine.handin import hand_in
from trimtab.journal import rollouts
from trimtab.journal.newest import newest
from trimtab.journal.writer import SqliteFacts
from trimtab.learn.rollout import from_json
from trimtab.policy.resolve import is_said, models
from trimtab.policy.rollout_kept import spec_of
from trimtab.policy.spec import DEFAULT_ENVIRONMENT, Policy

ADOPTED = "adopted"


def adopt(store: Path, policy: Policy, environment: str, *, by: str, at: datetime) -> tuple[RolloutFact, ...]:
    """Take out of force, in one environment, every passed rollout whose roles the file speaks of anew; gives the lines added."""
    _, facts = newest(store)
    if not any(_has_passed(fact, environment) for fact in facts):
        return ()

    def change(connection: Any) -> tuple[RolloutFact, ...]:
        passed = [fact for fact in rollouts.newest(connection) if _has_passed(fact, environment)]
        why = [_why(policy, environment, fact, rollouts.moves(connection, fact.name)) for fact in passed]
        added = tuple(
            replace(
                fact,
                number=fact.number + 1,
                event=ADOPTED,
                weights={there: share for there, share in _weights(fact).items() if there != environment},
                by=by,
                reason=reason,
                evidence={"policy_digest": policy.digest, "environment": environment},
                at=at,
            )
            for fact, reason in zip(passed, why, strict=True)
            if reason
        )
        SqliteFacts().write(connection, added)
        return added

    return hand_in(store, SqliteFacts(), change)


def _has_passed(fact: RolloutFact, environment: str) -> bool:
    return environment in _weights(fact) and from_json(fact.stages).state == "passed"


def _why(policy: Policy, environment: str, fact: RolloutFact, moves: Sequence[RolloutFact]) -> str:
    """Say what the file says anew; empty: it is as it was when the rollout was started."""
    if environment not in {DEFAULT_ENVIRONMENT, *policy.environments}:
        return ""
    if is_said(policy, environment, spec_of(fact.name, fact.declared).set):
        return f"{policy.source} says what it brought to {environment}"
    begun = cast("Any", next(move for move in reversed(moves) if move.event == "start").evidence)
    anew = edited(policy, environment, begun["from"][environment])
    return "".join(f"{policy.source} says {model} for {role} in {environment}" for role, model in [*anew.items()][:1])


def edited(policy: Policy, environment: str, before: Mapping[str, str | None]) -> dict[str, str | None]:
    """Give role -> full model id of what the file says otherwise than it did `before`. Raises PolicyError as `models` does."""
    now = models(policy, environment, set(before))
    return {role: model for role, model in now.items() if model != before[role]}


def _weights(fact: RolloutFact) -> Mapping[str, float]:
    return cast("Mapping[str, float]", fact.weights)
