"""Reads how experiments stand: the newest move of each, and every move of one."""

from __future__ import annotations

import sqlite3

from trimtab.core.moves import ExperimentFact
from trimtab.journal.rows import select_facts

_NEWEST = "number = (SELECT max(number) FROM experiment AS e WHERE e.name = experiment.name) ORDER BY name"


def newest(connection: sqlite3.Connection) -> tuple[ExperimentFact, ...]:
    """Give the newest move of every experiment that was ever started, by name."""
    return select_facts(connection, ExperimentFact, _NEWEST, {})


def moves(connection: sqlite3.Connection, name: str) -> tuple[ExperimentFact, ...]:
    """Give every move of an experiment, the oldest first."""
    return select_facts(connection, ExperimentFact, "name = :name ORDER BY number", {"name": name})


def every(connection: sqlite3.Connection) -> tuple[ExperimentFact, ...]:
    """Give every move of every experiment, the oldest first."""
    return select_facts(connection, ExperimentFact, "true ORDER BY rowid", {})
