"""What the journal tells of runs: a line for a list, a detail for one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trimtab.core.outcome import Status
from trimtab.core.records import DecisionFact, ExposureFact, ModelCallFact, OutcomeFact, PlanFact, ToolCallFact
from trimtab.core.values import Json

RUNNING = "running"
PLANNED = "planned"


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
class ModelUse:
    """What a role asked for and what answered, by the names in the answers themselves: they should be one model."""

    role: str
    requested: str
    responses: tuple[str, ...]
    calls: int


@dataclass(frozen=True, slots=True)
class SubtaskLine:
    """One subtask. `state` is the latest, or `planned`; `status` is set where somebody must act; `ended_at` where it is over.

    `attempts` counts every attempt of its model and tool calls, `retries` those after the first of each.
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


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One run whole. `exposure` is its pin as a fact; `own_calls` are the orchestrator's."""

    line: RunLine
    request: Json
    exposure: ExposureFact | None
    plans: tuple[PlanFact, ...]
    subtasks: tuple[SubtaskLine, ...]
    own_calls: tuple[ModelCallFact, ...]
    tool_calls: tuple[ToolCallFact, ...]
    outcomes: tuple[OutcomeFact, ...]

    @property
    def outcome(self) -> OutcomeFact | None:
        """How it stands, as `line.status` says; None while it runs for the first time."""
        return self.outcomes[-1] if self.outcomes else None
