"""Which model last answered for each role: what production really runs."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from trimtab.journal.rows import query

# Answers looked at: a role that was not asked among the newest so many is not said to run anything now.
_NEWEST = 10_000


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The newest answer that a role had: `requested` is `provider:full-id`, `response` the model that the answer names."""

    environment: str
    role: str
    requested: str
    response: str
    host: str
    at: datetime


def last_answers(connection: sqlite3.Connection) -> list[LastAnswer]:
    """Give the newest answer of each role in each environment."""
    rows = connection.execute(query("last_answers"), {"newest": _NEWEST})
    return [
        LastAnswer(where, role, asked, said, host, datetime.fromisoformat(at))
        for where, role, asked, said, host, at in rows
    ]
