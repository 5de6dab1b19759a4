"""Reads how rollouts and hosts stand: the newest line of each, and every line of one."""

from __future__ import annotations

import json
import sqlite3

from trimtab.core.moves import HostFact, RolloutFact
from trimtab.journal.rows import query, select_facts

_NEWEST = "number = (SELECT max(number) FROM rollout AS r WHERE r.name = rollout.name) ORDER BY name"


def newest(connection: sqlite3.Connection) -> tuple[RolloutFact, ...]:
    """Give the newest move of every rollout that was ever started, by name."""
    return select_facts(connection, RolloutFact, _NEWEST, {})


def moves(connection: sqlite3.Connection, name: str) -> tuple[RolloutFact, ...]:
    """Give every move of a rollout, the oldest first."""
    return select_facts(connection, RolloutFact, "name = :name ORDER BY number", {"name": name})


def every(connection: sqlite3.Connection) -> tuple[RolloutFact, ...]:
    """Give every move of every rollout, the oldest first."""
    return select_facts(connection, RolloutFact, "true ORDER BY rowid", {})


def host_lines(
    connection: sqlite3.Connection, rollout: str | None = None, attempt: int | None = None
) -> tuple[HostFact, ...]:
    """Give every line of hosts (of one rollout, of one attempt of it), the oldest first."""
    where = "(:rollout IS NULL OR rollout = :rollout) AND (:attempt IS NULL OR attempt = :attempt) ORDER BY rowid"
    return select_facts(connection, HostFact, where, {"rollout": rollout, "attempt": attempt})


def in_flight(connection: sqlite3.Connection, stage: str) -> list[tuple[str, str, frozenset[str]]]:
    """Give the runs that got the new map in a stage (`policy.rollout_kept.stage_name`) and have not ended: id, environment, roles."""
    rows = connection.execute(query("in_flight"), {"stage": stage})
    return [(run_id, environment, frozenset(json.loads(roles))) for run_id, environment, roles in rows]


def arms(connection: sqlite3.Connection, stage: str) -> dict[str, int]:
    """Count the runs of a stage by their arm."""
    return dict(connection.execute(query("stage_arms"), {"stage": stage}).fetchall())
