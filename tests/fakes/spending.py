"""A store with a history of spending, written as the worker writes it, without any model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from trimtab.core.outcome import Status
from trimtab.core.records import Fact, ModelCallFact, OutcomeFact, RunFact
from trimtab.engine.handin import hand_in
from trimtab.journal.writer import SqliteFacts

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
HAIKU = "anthropic:claude-haiku-4-5"


def call(run_id: str, at: datetime, usd: float | None, *, step: str = "do/a/0/1", **more: object) -> ModelCallFact:
    given: dict[str, object] = {
        "run_id": run_id, "step": step, "role": "payment", "subtask": None, "attempt": 1, "requested_model": HAIKU,
        "response_model": "claude-haiku-4-5-20251001", "response_id": "x", "input_tokens": 1000, "output_tokens": 100,
        "cache_read_tokens": 0, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0, "stop_reason": "end", "error_class": "",
        "error": "", "latency_ms": 900.0, "cost": None if usd is None else Decimal(f"{usd:.6f}"), "simulated": False, "at": at,
    }  # fmt: skip
    return ModelCallFact(**(given | more))  # type: ignore[arg-type]


def run(
    run_id: str, at: datetime, usd: float | None, *, environment: str = "local", good: bool = True, **more: object
) -> list[Fact]:
    status = Status.COMPLETED if good else Status.FAILED
    end = OutcomeFact(
        run_id=run_id, number=0, final=True, status=status, value=None, error="", reason="",
        first_plan_faultless=True, intended_end=good, replans=0, at=at + timedelta(seconds=9),
    )  # fmt: skip
    return [RunFact(run_id, "w", run_id, environment, {}, at), call(run_id, at, usd, **more), end]


def history(
    days: float,
    *,
    a_day: float = 480,
    now: datetime = NOW,
    dearer: float = 1.0,
    since: timedelta = timedelta(0),
    environment: str = "local",
    name: str = "r",
    seed: int = 1,
) -> list[Fact]:
    """Runs of about a cent each until `now`; from `since` before that on, each costs `dearer` times as much."""
    dice, facts, at, number = random.Random(seed), list[Fact](), now - timedelta(days=days), 0
    while (at := at + timedelta(days=dice.expovariate(a_day))) < now:
        usd = dice.gammavariate(2, 0.005) * (dearer if at >= now - since else 1.0)
        facts += run(f"{name}{number}", at, usd, environment=environment, good=dice.random() < 0.9)
        number += 1
    return facts


def write(path: Path, facts: Sequence[Fact]) -> Path:
    hand_in(path, SqliteFacts(), lambda connection: SqliteFacts().write(connection, facts))
    return path
