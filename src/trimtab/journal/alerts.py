"""Reads which alerts there are, and which of their moves a channel has not accepted yet."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from trimtab.core.watched import AlertFact
from trimtab.journal.columns import time_text
from trimtab.journal.rows import as_fact, query

REFUSED_FOR = "refused for "  # what a reason begins with that names who is still to be told


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A move of an alert that a channel has not accepted: tried `attempts` times, the last one `outcome` (begun, failed) `at`.

    refused: the newest reason that named who refused it, where all others accepted it; empty: nobody did yet.
    """

    alert: AlertFact
    attempts: int
    outcome: str | None
    at: datetime | None
    refused: str


def newest(connection: sqlite3.Connection) -> dict[str, tuple[AlertFact, ...]]:
    """Give every move of the newest alert of each cause, oldest first."""
    facts = [as_fact(AlertFact, row) for row in connection.execute(query("alerts"))]
    return {cause: tuple(moves) for cause, moves in groupby(facts, key=lambda fact: fact.cause)}


def undelivered(connection: sqlite3.Connection, channel: str, since: datetime) -> list[Undelivered]:
    """Give the moves from `since` on that a channel has not accepted, oldest first."""
    given = {"channel": channel, "since": time_text(since), "refused": f"{REFUSED_FOR}%"}
    rows = connection.execute(query("undelivered"), given)
    return [
        Undelivered(
            as_fact(AlertFact, tuple(fact)), attempts, outcome, at and datetime.fromisoformat(at), refused or ""
        )
        for *fact, attempts, outcome, at, refused in rows
    ]
