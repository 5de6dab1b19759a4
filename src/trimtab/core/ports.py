"""What the layers ask of each other: protocols that `engine`, `models`, `journal` and `policy` fulfil and `run` uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
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


class Steps(Protocol):
    """A run's view of its engine."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    async def step(self, name: str, work: StepWork, *, effect: bool = False) -> Json:
        """Do `work` once and give its result; after a crash give the result again without doing the work.

        The name must be unique in the run and the same on every replay. An `effect` is never interrupted by cancelling.
        """
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
    """Nothing to do before one of `events` is delivered, or `until`; the run leaves memory and is replayed then."""

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
        """Start, or replay and go on."""
        ...

    def cancelled(self, run_id: str, payload: str, by: str) -> Ended:
        """Say how a cancelled run ends."""
        ...

    def broken(self, run_id: str, payload: str, error: Exception) -> Ended:
        """Say how a run ends whose code raised."""
        ...


class Engine(Protocol):
    """Runs runs durably."""

    async def accept(self, run: NewRun) -> str:
        """Make it durable and start it; a known key gives the id of the run it started. Raises KeyReusedError."""
        ...

    async def settled(self, run_id: str, *, final: bool = False) -> Standing:
        """Wait until the run ended or (unless `final`) waits for somebody, and give how it stands."""
        ...

    async def deliver(self, run_id: str, event: str, payload: Json, facts: Sequence[Fact] = ()) -> bool:
        """Hand an event to a run, durably and with its facts, once.

        False when one of this name was delivered before, or the run has ended.
        """
        ...

    async def cancel(self, run_id: str, by: str) -> bool:
        """End a run before its time; False when it has ended already."""
        ...
