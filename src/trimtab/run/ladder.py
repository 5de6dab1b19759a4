"""The ladder: a role's work is tried on one model after another, and again whenever a person lets the run go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from trimtab.core.records import RungFact
from trimtab.run.ask import Stuck
from trimtab.run.scope import RESUME, Scope

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rung:
    """One try at a role's work: on which model, and what tells the names of its steps from those of the tries before it."""

    model: str
    effort: str | None
    place: str = ""

    @property
    def first(self) -> bool:
        """Whether nothing was tried before it."""
        return not self.place

    def name(self, work: str) -> str:
        """Name the steps of this try at `work`."""
        return f"{work}/{self.place}" if self.place else work


async def climb(
    scope: Scope, role: str, subtask: str | None, tried: Callable[[Rung], Awaitable[T | Stuck]], *, rounds: bool = True
) -> T | Stuck:
    """Try on each model of the role until one is of use; `Stuck` when none is.

    With `rounds`, all are tried again for every time a person let the run go on. Which tries there are hangs only on the pin
    and on how often that was, so that a replay takes the turns that were taken.
    """
    turn = number = 0
    while True:
        models = scope.models(role)
        outcome = await tried(_rung(scope, role, models[number], turn, number))
        if not isinstance(outcome, Stuck):
            return outcome
        number += 1
        if number < len(models):
            note(scope, outcome, "escalate", role, subtask, scope.models(role)[number])
            continue
        event = f"{RESUME}{turn}"
        if not rounds or scope.steps.event(event) is None:
            return replace(outcome, event=event if rounds else "")
        turn, number = turn + 1, 0


def note(scope: Scope, stuck: Stuck, rung: str, role: str, subtask: str | None, model: str = "") -> None:  # noqa: PLR0917 - one fact
    """Write down what is done about work that is stuck; `model` is asked next."""
    reason = ": ".join(filter(None, [stuck.error_class, stuck.reason]))
    scope.steps.record(RungFact(scope.run_id, stuck.step, rung, role, subtask, model, reason, scope.means.clock.now()))


def _rung(scope: Scope, role: str, model: str, turn: int, number: int) -> Rung:
    choice = scope.pin.roles[role]
    places = ([f"again{turn}"] if turn else []) + ([f"on{number}"] if number else [])
    # An effort was chosen for one model; another may not know it.
    return Rung(model, choice.effort if model == choice.model else None, "/".join(places))
