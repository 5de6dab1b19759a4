"""What the journal tells of runs: a line for a list, a detail for one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trimtab.core.outcome import Status
from trimtab.core.records import (
    DecisionFact,
    EffectFact,
    ExposureFact,
    ModelCallFact,
    OutcomeFact,
    PlanFact,
    ResumeFact,
    RungFact,
    ToolCallFact,
)
from trimtab.core.values import Json

RUNNING = "running"
PLANNED = "planned"
_STANDS = frozenset({"committed", "unknown", "uncompensated"})
EFFECT_STATES = ("reserved", "committed", "released", "unknown", "compensated", "uncompensated", "noted")


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list.

    `status` is that of its latest outcome, or `running`. Subtasks are those of the plan it works by. `retries` counts the
    model and tool calls after the first attempt. `cost` None: at least one call has no known price. `simulated`: at least
    one call asked no real model.
    """

    run_id: str
    key: str
    workflow: str
    environment: str
    status: str
    final: bool
    accepted_at: datetime
    ended_at: datetime | None
    subtasks_done: int
    subtasks_total: int
    model_calls: int
    retries: int
    tokens: int
    cost: Decimal | None
    simulated: bool


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call that waits, or waited, for a person. `key` names it with its arguments; `decision` None: nobody decided yet.

    `open` says whether deciding still does something: the run goes on, and nobody decided.
    """

    key: str
    run_id: str
    workflow: str
    run_key: str
    subtask: str
    role: str
    tool: str
    effect: str
    arguments: Json
    reason: str
    since: datetime
    open: bool
    decision: DecisionFact | None


@dataclass(frozen=True, slots=True)
class EffectLine:
    """How one effect stands: `fact` is the newest line of its key in the ledger."""

    fact: EffectFact
    run_key: str
    workflow: str


@dataclass(frozen=True, slots=True)
class EffectDetail:
    """One effect whole: every line of its key, oldest first, and the arguments of its call.

    `arguments` is None, and `recorded` False, where the call was never seen to end.
    """

    run_key: str
    workflow: str
    lines: tuple[EffectFact, ...]
    arguments: Json
    recorded: bool

    @property
    def newest(self) -> EffectFact:
        """The line that tells how it stands."""
        return self.lines[-1]


@dataclass(frozen=True, slots=True)
class HalfDone:
    """A run that failed, was cancelled, or waits for a person, while something it wrote stands.

    `stands` and `taken_back` hold the newest line of each effect. `ending`: it goes no further than taking back what it wrote.
    `told`: a person has said something since, which no worker has taken up.
    """

    line: RunLine
    reason: str
    ending: bool
    told: bool
    stands: tuple[EffectFact, ...]
    taken_back: tuple[EffectFact, ...]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a role asked for and what answered, by the names in the answers themselves: they should be one model."""

    role: str
    requested: str
    responses: tuple[str, ...]
    calls: int


@dataclass(frozen=True, slots=True)
class SubtaskLine:
    """One subtask. `state` is the latest, or `planned`; `status` is set where somebody must act; `ended_at` where it is over.

    `attempts` counts every attempt of its model and tool calls, `retries` those after the first of each. Where it did not go
    well, `cause` is the subtask whose failure began it, and `owner` the role that answers for that one.
    """

    id: str
    specialist: str
    action: str
    needs: tuple[str, ...]
    state: str
    status: Status | None
    reason: str
    attempts: int
    retries: int
    models: tuple[ModelUse, ...]
    tokens: int
    cost: Decimal | None
    started_at: datetime | None
    ended_at: datetime | None
    cause: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One run whole.

    `exposure` is its pin as a fact; `own_calls` are the orchestrator's; `effects` holds the newest line of each effect, in the
    order they began, and `settlements` every line that a person wrote.
    """

    line: RunLine
    request: Json
    exposure: ExposureFact | None
    plans: tuple[PlanFact, ...]
    subtasks: tuple[SubtaskLine, ...]
    own_calls: tuple[ModelCallFact, ...]
    tool_calls: tuple[ToolCallFact, ...]
    outcomes: tuple[OutcomeFact, ...]
    effects: tuple[EffectFact, ...]
    settlements: tuple[EffectFact, ...]
    rungs: tuple[RungFact, ...]
    decisions: tuple[DecisionFact, ...]
    resumes: tuple[ResumeFact, ...]

    @property
    def outcome(self) -> OutcomeFact | None:
        """How it stands, as `line.status` says; None while it runs for the first time."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def half_done(self) -> HalfDone:
        """What of it stands and what was taken back; of meaning where it did not go well."""
        words = [*self.settlements, *self.decisions, *self.resumes]
        return standing(self.line, self.outcome, self.effects, [word.at for word in words])


def standing(
    line: RunLine, last: OutcomeFact | None, effects: Sequence[EffectFact], words: Sequence[datetime]
) -> HalfDone:
    """Say of a run what stands and what was taken back; `effects`: the newest line of each; `words`: when people spoke."""
    error, reason = (last.error, last.reason) if last else ("", "")
    states = _STANDS | {"reserved"} if line.final else _STANDS
    return HalfDone(
        line=line,
        reason=f"{error}: {reason}" if error else reason,
        ending=bool(error) or line.final,
        told=not line.final and last is not None and any(at > last.at for at in words),
        stands=tuple(effect for effect in effects if effect.state in states),
        taken_back=tuple(effect for effect in effects if effect.state == "compensated"),
    )
