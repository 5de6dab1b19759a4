"""Facts: what happened, written once and never changed. Each class is one table of the journal, each field one column.

Times are aware UTC datetimes, latencies milliseconds, money `Decimal` dollars (None: the price is not known).
A fact's key columns are marked in the journal's schema; writing the same fact again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

from trimtab.core.moves import ExperimentFact, HostFact, RolloutFact
from trimtab.core.outcome import Status
from trimtab.core.values import Json
from trimtab.core.watched import AlertFact, DeliveryFact, SettledFact, SpentFact


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
    """A subtask entered a state (see `run.execute.State`).

    Where it did not go well, `cause` is the subtask whose failure began it (its own, or one it needs) and `owner` the role
    that answers for that one.
    """

    run_id: str
    subtask: str
    state: str
    specialist: str
    action: str
    status: Status | None
    reason: str
    at: datetime
    cause: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ModelCallFact:
    """One attempt of one model call, made on `host`. `error_class` is empty when it was answered.

    `cost` is at the prices of the run's `ExposureFact.price_date`, as `price_list` knew them when it was written; both are None
    where that knew no price. `cache_saved` is what the same prompt would have cost uncached, less what it cost (negative where
    writing to the cache cost more than reading from it saved).
    """

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
    host: str = ""
    price_list: str | None = None
    cache_saved: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ToolCallFact:
    """One attempt of one tool call.

    `outcome` is done, handoff, retry, rejected, failed, held (for a person's decision), unknown (it may have taken effect), or
    stopped (an outgoing message told too much; `error_class` is `leak` or `secret`).
    """

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

    A waiting run with an `error` goes no further: it waits for what it wrote to be taken back, and then ends.
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


@dataclass(frozen=True, slots=True)
class EffectFact:
    """A line of the ledger of effects: what one write came to. The newest line of a `key` tells how it stands.

    reserved:      about to be made; durable before the tool is called.
    committed:     made; in the transaction of its result.
    released:      not made: the tool said so, or its lookup, or a person.
    unknown:       it may have been made; a person has to say.
    compensated:   taken back.
    uncompensated: it could not be taken back and stands.
    noted:         its run has ended and it stands; a person has dealt with that.
    `by` names the person who said so, where one did.
    """

    run_id: str
    step: str
    state: str
    key: str
    subtask: str
    role: str
    tool: str
    effect: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RungFact:
    """A step of recovery from a failing model: `rung` is retry, repair, escalate, replan or person.

    `step` is the attempt that failed, `model` the one that is asked next (empty for a person), `reason` what went wrong.
    """

    run_id: str
    step: str
    rung: str
    role: str
    subtask: str | None
    model: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BudgetFact:
    """A line of the ledger of budgets: what one model call may cost, and what it did cost.

    reserved: the worst case, durable before the call is made. settled: what it cost. lost: the call was made and its answer
    never seen (the process died), so the worst case counts. The newest line of a (run, step) tells how it stands.
    `usd` is None where the price is not known; `day` is the UTC day it counts for.
    """

    run_id: str
    step: str
    state: str
    environment: str
    role: str
    day: date
    usd: Decimal | None
    tokens: int
    turns: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ResumeFact:
    """A person let a stalled run go on; `raised` are caps by name, `models` full model ids by role, for this run from now on."""

    run_id: str
    number: int
    by: str
    raised: Json
    models: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class AssignmentFact:
    """The arm of an experiment that a run was put into; written with the run, atomically.

    `propensity` is how likely that arm was, `weight` the chance of the treatment (of each factor of several) at that moment.
    """

    run_id: str
    experiment: str
    arm: str
    propensity: float
    weight: float


@dataclass(frozen=True, slots=True)
class ScoreFact:
    """Somebody looked at a run: `hits` names what must not happen and did (a list of texts, empty: nothing). The newest counts."""

    run_id: str
    number: int
    hits: Json
    by: str
    at: datetime


Fact: TypeAlias = (
    RunFact
    | ExposureFact
    | PlanFact
    | SubtaskFact
    | ModelCallFact
    | ToolCallFact
    | OutcomeFact
    | DecisionFact
    | EffectFact
    | RungFact
    | BudgetFact
    | ResumeFact
    | ScoreFact
    | AssignmentFact
    | ExperimentFact
    | AlertFact
    | DeliveryFact
    | SpentFact
    | SettledFact
    | RolloutFact
    | HostFact
)
