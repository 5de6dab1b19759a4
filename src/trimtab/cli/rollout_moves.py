"""A person moves a rollout: one event, or one clear refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from trimtab.cli.rollout_words import moved
from trimtab.core.errors import UsageError
from trimtab.learn.rollout import Refused
from trimtab.rollouts.moves import move_rollout

if TYPE_CHECKING:
    from trimtab.core.moves import RolloutFact
    from trimtab.core.values import Json
    from trimtab.learn.rollout import Event
    from trimtab.rollouts.moves import Standing


def move(
    store: Path,
    name: str,
    event: Event,
    *,
    by: str,
    reason: str,
    evidence: Mapping[str, Json] | None = None,
    seen: int | None = None,
) -> RolloutFact:
    """Move a rollout and say so. Raises UsageError where that is not possible now, or it was moved since number `seen`."""
    given = move_rollout(store, name, event, by=by, at=datetime.now(UTC), reason=reason, evidence=evidence, seen=seen)
    match given:
        case Refused(why, hint):
            raise UsageError(f"rollout {name!r}: {why}", hint=hint)
        case None:
            raise UsageError(
                f"rollout {name!r} was moved by somebody else meanwhile", hint=f"trimtab rollout status {name}"
            )
        case fact:
            click.echo(moved(fact))
            return fact


def refuse(standing: Standing, event: Event) -> NoReturn:
    """Say that an event is not possible as a rollout stands. Raises UsageError."""
    name, state = standing.last.name, standing.rollout.state
    raise UsageError(f"rollout {name!r} is {state}: there is nothing to {event}", hint=f"trimtab rollout status {name}")
