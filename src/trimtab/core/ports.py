"""What the layers ask of each other: protocols that `engine`, `models`, `journal` and `policy` fulfil and `run` uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault
from trimtab.core.outcome import Status
from trimtab.core.records import Fact
from trimtab.core.usage import Usage
from trimtab.core.values import Json


class Clock(Protocol):
    """Time, so that tests can hold it still."""

    def now(self) -> datetime:
        """Give the time, aware and in UTC."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return at `at`, or at once when it has passed."""
        ...


class ModelClient(Protocol):
    """Asks one model once: no retries, no loop. Failures come back as `ModelFault`, never as exceptions."""

    async def ask(self, call: ModelCall) -> ModelAnswer | ModelFault:
        """Send the call and give what came of it."""
        ...


class PriceList(Protocol):
    """Knows what tokens cost."""

    @property
    def version(self) -> str:
        """Name it, so that a price can be reproduced: calls are written with it."""
        ...

    def cost(self, model: str, usage: Usage, on: date) -> Decimal | None:
        """Give the dollars for `usage` of `provider:model` at the prices of day `on`; None where they are not known."""
        ...


class FactWriter(Protocol):
    """Writes facts inside a transaction that the engine opened, so that a step and its facts stand or fall together."""

    def migrate(self, connection: Any) -> None:
        """Bring the journal's tables up to date."""
        ...

    def write(self, connection: Any, facts: Sequence[Fact]) -> None:
        """Insert the facts that are not there yet."""
        ...


@dataclass(frozen=True, slots=True)
class Worked:
    """What one step came to: its result (JSON, replayed after a crash) and the facts that commit with it."""

    result: Json
    facts: Sequence[Fact] = ()


StepWork: TypeAlias = Callable[[], Awaitable[Worked]]
OnceWork: TypeAlias = Callable[[bool], Awaitable[Worked]]

# Events that the engine or the command line deliver. Others are `NAME/...` and belong to the run's code.
CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Begun:
    """A step done with `Steps.once`: its name, what was written before it began, and its result (None: it has none yet)."""

    name: str
    begin: Json
    result: Json


class Steps(Protocol):
    """A run's view of its engine."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    async def step(self, name: str, work: StepWork) -> Json:
        """Do `work` and give its result; after a crash give the result again without doing the work.

        The name must be unique in the run and the same on every replay. Work that a crash interrupted is done again.
        """
        ...

    async def once(self, name: str, begin: Worked, work: OnceWork, *, shielded: bool) -> Json:
        """As `step`, for work that must not silently be done twice: `begin` is durable before the work begins.

        The work is told whether it was begun before and never finished. `shielded` work is not interrupted by cancelling, nor
        is there a moment between its beginning and itself at which the run could be cancelled.
        """
        ...

    def known(self, name: str) -> Json:
        """Give the result of a step that is finished, or None."""
        ...

    def begun(self) -> Sequence[Begun]:
        """Everything begun with `once`, in the order it was begun."""
        ...

    def record(self, *facts: Fact) -> None:
        """Write facts without waiting; they are durable before any later step of the run is."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Wait; `at` must come from a journaled result, so that a restart does not start the wait over."""
        ...

    def event(self, name: str) -> Json:
        """Give what was delivered to this run under `name`, or None."""
        ...

    def count_events(self, prefix: str) -> int:
        """Count what was delivered to this run under names that start so."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over."""

    status: Status
    value: Json = None
    reason: str = ""
    facts: Sequence[Fact] = ()


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing to do before one of `events` is delivered, or `until`; the run leaves memory and is replayed then.

    Being cancelled is an event like others: a run that may still be cancelled lists `CANCEL`.
    """

    status: Status
    events: frozenset[str]
    until: datetime | None = None
    value: Json = None
    reason: str = ""
    facts: Sequence[Fact] = ()


Standing: TypeAlias = Ended | Parked


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to accept. `payload` is all that `Conductor` needs to start it; `fingerprint` tells requests with one key apart."""

    run_id: str
    workflow: str
    key: str
    fingerprint: str
    payload: str
    facts: Sequence[Fact] = field(default_factory=tuple[Fact, ...])


class Conductor(Protocol):
    """Does a run's work; given to the engine by `app`."""

    async def perform(self, steps: Steps, payload: str) -> Standing:
        """Start, or replay and go on; where the event `CANCEL` was delivered, take back what can be taken back, and end."""
        ...

    async def broken(self, steps: Steps, payload: str, error: Exception) -> Standing:
        """Take back what can be taken back of a run whose code raised, and say how it stands. Raises nothing."""
        ...


class Engine(Protocol):
    """Runs runs durably."""

    async def accept(self, run: NewRun) -> str:
        """Make it durable and start it; a known key gives the id of the run it started. Raises KeyReusedError."""
        ...

    async def settled(self, run_id: str, *, through: Collection[Status] = ()) -> Standing:
        """Wait until the run ended, or waits with a status that is not among `through`, and give how it stands."""
        ...

    async def deliver(self, run_id: str, event: str, payload: Json, facts: Sequence[Fact] = ()) -> bool:
        """Hand an event to a run, durably and with its facts, once.

        False when one of this name was delivered before, or the run has ended.
        """
        ...

    async def cancel(self, run_id: str, by: str) -> bool:
        """End a run before its time; False when it has ended already."""
        ...
