"""Rows as SQLite gives them, made what the journal tells."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from trimtab.core.records import DecisionFact, EffectFact, ExposureFact, Fact, RunFact
from trimtab.journal.columns import TABLES, kept, names
from trimtab.journal.lines import EffectLine, HeldCall, RunLine

F = TypeVar("F", bound=Fact)


class ExactSum:
    """`sum()` over decimal text, without the floats of SQLite's own; NULL as soon as one amount is."""

    def __init__(self) -> None:
        self.total: Decimal | None = Decimal(0)

    def step(self, amount: str | None) -> None:
        """Add one amount."""
        self.total = None if amount is None or self.total is None else self.total + Decimal(amount)

    def finalize(self) -> str | None:
        """Give the sum."""
        return None if self.total is None else str(self.total)


@cache
def query(name: str) -> str:
    """Read one of the SQL files."""
    return (files("trimtab.journal") / "queries" / f"{name}.sql").read_text("utf-8")


def run_facts(connection: sqlite3.Connection, kind: type[F], run_id: str, order: str = "at, rowid") -> tuple[F, ...]:
    """Read the facts of one class that tell of one run."""
    by = "rowid" if kind in (RunFact, ExposureFact) else order
    return select_facts(connection, kind, f"run_id = :run_id ORDER BY {by}", {"run_id": run_id})


def select_facts(connection: sqlite3.Connection, kind: type[F], where: str, given: dict[str, Any]) -> tuple[F, ...]:
    """Read facts of one class; `where` is SQL of ours, never a user's text."""
    sql = f"SELECT {', '.join(names(kind))} FROM {TABLES[kind].name} WHERE {where}"  # noqa: S608 - names of ours
    return tuple(as_fact(kind, row) for row in connection.execute(sql, given))


def as_fact(kind: type[F], row: tuple[Any, ...]) -> F:
    """Make a fact of the columns of its table."""
    readers = (column.read or _as_it_is for column in kept(kind))
    return kind(*(read(value) for read, value in zip(readers, row, strict=True)))


def _as_it_is(value: Any) -> Any:
    return value


def effect_line(row: tuple[Any, ...]) -> EffectLine:
    """Make a line of a row of `effects.sql`."""
    *fact, run_key, workflow = row
    return EffectLine(as_fact(EffectFact, tuple(fact)), run_key, workflow)


def held_call(row: tuple[Any, ...]) -> HeldCall:
    """Make a call of a row of `held.sql`."""
    (
        key,
        run_id,
        workflow,
        run_key,
        subtask,
        role,
        tool,
        effect,
        arguments,
        reason,
        since,
        approved,
        by,
        at,
        still_open,
    ) = row
    return HeldCall(
        key=key,
        run_id=run_id,
        workflow=workflow,
        run_key=run_key,
        subtask=subtask,
        role=role,
        tool=tool,
        effect=effect,
        arguments=json.loads(arguments),
        reason=reason,
        since=datetime.fromisoformat(since),
        open=bool(still_open),
        decision=None if by is None else DecisionFact(run_id, key, bool(approved), by, datetime.fromisoformat(at)),
    )


def run_line(row: tuple[Any, ...]) -> RunLine:
    """Make a line of a row of `runs.sql`."""
    (
        run_id,
        key,
        workflow,
        environment,
        status,
        final,
        accepted,
        ended,
        done,
        total,
        calls,
        retries,
        tokens,
        cost,
        fake,
    ) = row
    return RunLine(
        run_id=run_id,
        key=key,
        workflow=workflow,
        environment=environment,
        status=status,
        final=bool(final),
        accepted_at=datetime.fromisoformat(accepted),
        ended_at=None if ended is None else datetime.fromisoformat(ended),
        subtasks_done=done,
        subtasks_total=total,
        model_calls=calls,
        retries=retries,
        tokens=tokens,
        cost=None if cost is None else Decimal(cost),
        simulated=bool(fake),
    )
