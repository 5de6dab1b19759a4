"""What all parts of one run share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trimtab.core.pin import Pin
from trimtab.core.ports import Clock, ModelClient, PriceList, Steps
from trimtab.core.values import Json
from trimtab.run.budget import Budgets
from trimtab.run.credential import Credential
from trimtab.run.retry import Limits
from trimtab.run.toolbox import OwnTools, Toolbox
from trimtab.run.workflow import Workflow

# Events of a run: a person lets it go on (RESUME and how often that was before), decides a held call (APPROVAL and its key),
# says what came of a write nobody knows about (SETTLE and its key).
RESUME = "resume/"
APPROVAL = "approval/"
SETTLE = "settle/"


@dataclass(frozen=True, slots=True)
class Means:
    """What the app gives to every run. `secrets` are values that no message may carry, and nothing may show.

    `host` is where this is, and `price_list` the version of `prices`, both as each model call is written with them.
    """

    models: ModelClient
    prices: PriceList
    clock: Clock
    limits: Limits
    calls_at_once: asyncio.Semaphore
    budgets: Budgets = field(default_factory=Budgets)
    credentials: Mapping[str, Credential] = field(default_factory=dict[str, Credential])
    secrets: tuple[str, ...] = field(default=(), repr=False)
    tools: Toolbox = field(default_factory=OwnTools)
    host: str = ""
    price_list: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """One execution of one run."""

    means: Means
    steps: Steps
    workflow: Workflow[Any, Any]
    request: Any
    request_json: Json
    pin: Pin

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.steps.run_id

    @property
    def resumed(self) -> int:
        """How often a person let this run go on after it stalled."""
        return self.steps.count_events(RESUME)

    @property
    def resume_event(self) -> str:
        """The event that lets this run go on from where it stands."""
        return f"{RESUME}{self.resumed}"

    def models(self, role: str) -> tuple[str, ...]:
        """Give the models to ask for a role, in turn: those of the pin, the one a person put it on before all others.

        Always as many, whatever people said: a replay knows every word from its start, and must take the turns that were taken.
        """
        choice = self.pin.roles[role]
        pinned = tuple(dict.fromkeys((choice.model, *choice.escalate)))
        put_on = ""
        for number in range(self.resumed):
            said: Any = self.steps.event(f"{RESUME}{number}") or {}
            put_on = said.get("models", {}).get(role, put_on)
        if not put_on:
            return pinned
        return (put_on, *(m for m in pinned if m != put_on)) if put_on in pinned else (put_on, *pinned[1:])

    async def wait(self, moment: str) -> datetime | None:
        """Wait until a journaled moment; gives it back at once where that is too long to wait in memory."""
        at, means = datetime.fromisoformat(moment), self.means
        if at - means.clock.now() > means.limits.hold_in_memory:
            return at
        await self.steps.sleep_until(at)
        return None

    @property
    def request_fields(self) -> Mapping[str, Json]:
        """The request as what `$request.FIELD` points into."""
        return self.request_json if isinstance(self.request_json, Mapping) else {"text": self.request_json}
