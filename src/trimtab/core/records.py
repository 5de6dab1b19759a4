"""Facts: what happened, written once and never changed. Each class is one table of the journal, each field one column.

Times are aware UTC datetimes, latencies milliseconds, money `Decimal` dollars (None: the price is not known).
A fact's key columns are marked in the journal's schema; writing the same fact again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

from trimtab.core.outcome import Status
from trimtab.core.values import Json


@dataclass(frozen=True, slots=True)
class RunFact:
    """A request was accepted as a run."""

    run_id: str
    workflow: str
    key: str
    environment: str
    request: Json
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class ExposureFact:
    """What the run was exposed to: its pin. `roles` maps each role to its pinned choice; written with the run, atomically."""

    run_id: str
    roles: Json
    arm: str | None
    propensity: float
    policy_digest: str
    price_date: date


@dataclass(frozen=True, slots=True)
class PlanFact:
    """The orchestrator's n-th plan (0 first) as it was given, with every fault found in it."""

    run_id: str
    number: int
    plan: Json
    faults: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class SubtaskFact:
    """A subtask entered a state (see `SubtaskState`)."""

    run_id: str
    subtask: str
    state: str
    specialist: str
    action: str
    status: Status | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ModelCallFact:
    """One attempt of one model call. `error_class` is empty when it was answered."""

    run_id: str
    step: str
    role: str
    subtask: str | None
    attempt: int
    requested_model: str
    response_model: str | None
    response_id: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    stop_reason: str | None
    error_class: str
    error: str
    latency_ms: float
    cost: Decimal | None
    simulated: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class ToolCallFact:
    """One attempt of one tool call. `outcome` is done, handoff, retry, rejected or failed."""

    run_id: str
    step: str
    role: str
    subtask: str
    tool: str
    effect: str
    idempotency_key: str
    attempt: int
    arguments: Json
    outcome: str
    error_class: str
    reason: str
    latency_ms: float
    at: datetime


@dataclass(frozen=True, slots=True)
class OutcomeFact:
    """How a run stood when it stopped working: `final` (number 0), or waiting, after `number` decisions.

    Decomposition success is `first_plan_faultless and intended_end and replans == 0`; the parts are kept apart.
    """

    run_id: str
    number: int
    final: bool
    status: Status
    value: Json
    error: str
    reason: str
    first_plan_faultless: bool
    intended_end: bool
    replans: int
    at: datetime


@dataclass(frozen=True, slots=True)
class DecisionFact:
    """A person decided a held call. `key` is the call's idempotency key, which its arguments are part of."""

    run_id: str
    key: str
    approved: bool
    by: str
    at: datetime


Fact: TypeAlias = (
    RunFact | ExposureFact | PlanFact | SubtaskFact | ModelCallFact | ToolCallFact | OutcomeFact | DecisionFact
)
