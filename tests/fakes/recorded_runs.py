"""A store of runs that nobody made: their roles, calls, arms and outcomes are said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from trimtab.core.moves import ExperimentFact
from trimtab.core.outcome import Status
from trimtab.core.records import AssignmentFact, ExposureFact, Fact, ModelCallFact, OutcomeFact, RunFact
from trimtab.core.usage import Usage
from trimtab.journal.writer import SqliteFacts
from trimtab.models.catalogue import Catalogue

HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
_PRICES = Catalogue()


@dataclass(frozen=True)
class Call:
    role: str
    model: str
    usage: Usage


@dataclass(frozen=True)
class Recorded:
    """`arms`: experiment -> (arm, propensity, weight)."""

    name: str
    at: datetime
    calls: Sequence[Call]
    success: bool = True
    environment: str = "local"
    roles: Mapping[str, str] = field(default_factory=dict)
    arms: Mapping[str, tuple[str, float, float]] = field(default_factory=dict)


def make_store(path: Path, runs: Iterable[Recorded], moves: Iterable[ExperimentFact] = ()) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    SqliteFacts().migrate(connection)
    connection.execute("BEGIN")
    SqliteFacts().write(connection, [fact for run in runs for fact in _facts(run)])
    SqliteFacts().write(connection, list(moves))
    connection.execute("COMMIT")
    connection.close()
    return path


def _facts(run: Recorded) -> Iterator[Fact]:
    pinned = {call.role: call.model for call in run.calls} | dict(run.roles)
    yield RunFact(run.name, "booking", run.name, run.environment, {}, run.at)
    yield ExposureFact(
        run.name, {role: {"model": model} for role, model in pinned.items()}, None, 1.0, "d", run.at.date()
    )
    for name, (arm, propensity, weight) in run.arms.items():
        yield AssignmentFact(run.name, name, arm, propensity, weight)
    for number, call in enumerate(run.calls):
        yield _call(run, number, call)
    yield OutcomeFact(
        run_id=run.name, number=0, final=True, status=Status.COMPLETED if run.success else Status.FAILED, value=None,
        error="", reason="", first_plan_faultless=run.success, intended_end=run.success, replans=0, at=run.at,
    )  # fmt: skip


def _call(run: Recorded, number: int, call: Call) -> ModelCallFact:
    used = call.usage
    cost: Decimal | None = _PRICES.cost(call.model, used, date(2026, 11, 23))
    return ModelCallFact(
        run_id=run.name, step=f"s{number}", role=call.role, subtask=None, attempt=1, requested_model=call.model,
        response_model=call.model.partition(":")[2], response_id="i", input_tokens=used.input, output_tokens=used.output,
        cache_read_tokens=used.cache_read, cache_write_5m_tokens=used.cache_write_5m,
        cache_write_1h_tokens=used.cache_write_1h, stop_reason="end", error_class="", error="", latency_ms=1.0,
        cost=cost, simulated=False, at=run.at,
    )  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)
