"""What the ledger of budgets comes to: sums by environment, role and day, and by run."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from trimtab.journal.rows import query


@dataclass(frozen=True, slots=True)
class Balance:
    """What the calls of one role came to that stand alike: `state` is reserved, settled or lost.

    It is of a `day` (UTC, `run_id` empty) or of a run that has not ended (`day` None). `usd` is exact, and without the
    `unpriced` calls whose dollars are not known.
    """

    environment: str
    role: str
    day: date | None
    run_id: str
    state: str
    usd: Decimal
    tokens: int
    turns: int
    unpriced: int


def by_day(connection: sqlite3.Connection, since: date) -> list[Balance]:
    """Sum up every day from `since` on."""
    rows = connection.execute(query("balances_by_day"), {"since": since.isoformat()})
    return [_balance(row, date.fromisoformat(row[2]), "") for row in rows]


def by_run(connection: sqlite3.Connection) -> list[Balance]:
    """Sum up every run that has not ended."""
    return [_balance(row, None, row[2]) for row in connection.execute(query("balances_by_run"))]


def paused(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the runs of each environment that stand still because a cap was reached."""
    return dict(connection.execute(query("paused")).fetchall())


def _balance(row: tuple[Any, ...], day: date | None, run_id: str) -> Balance:
    environment, role, _, state, usd, tokens, turns, unpriced = row
    return Balance(environment, role, day, run_id, state, Decimal(usd), tokens, turns, unpriced)
