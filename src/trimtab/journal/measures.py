"""Reads runs as they count: one measure a run, in order of acceptance."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from trimtab.core.measures import Assigned, RunMeasure
from trimtab.core.outcome import Status
from trimtab.core.same_model import other_model
from trimtab.journal.columns import time_text
from trimtab.journal.rows import query

_CONDITIONS: Mapping[str, str] = {
    "since": "r.accepted_at >= :since",
    "until": "r.accepted_at < :until",
    "environment": "r.environment = :environment",
    "workflow": "r.workflow = :workflow",
    "experiment": "r.run_id IN (SELECT run_id FROM assignment WHERE experiment = :experiment)",
    "runs": "r.run_id IN (SELECT value FROM json_each(:runs))",
    "every": "r.rowid % :every = 0",
}
_ASSIGNED = "SELECT run_id, experiment, arm, propensity, weight FROM assignment{where} ORDER BY run_id, experiment"
_OF_RUNS = " WHERE run_id IN (SELECT value FROM json_each(:runs))"


def measures(
    connection: sqlite3.Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    environment: str | None = None,
    workflow: str | None = None,
    experiment: str | None = None,
    runs: Collection[str] | None = None,
    every: int | None = None,
) -> Iterator[RunMeasure]:
    """Give every run accepted from `since` until before `until`, the oldest first; of `every` so many one, of `runs` only."""
    given: dict[str, str | int | None] = {
        "since": since and time_text(since),
        "until": until and time_text(until),
        "environment": environment,
        "workflow": workflow,
        "experiment": experiment,
        "runs": None if runs is None else json.dumps(list(runs)),
        "every": every,
    }
    where = " AND ".join(text for name, text in _CONDITIONS.items() if given[name] is not None) or "TRUE"
    assigned: dict[str, list[Assigned]] = {}
    sql = _ASSIGNED.replace("{where}", "" if runs is None else _OF_RUNS)
    for run_id, *rest in connection.execute(sql, given):
        assigned.setdefault(run_id, []).append(Assigned(*rest))
    for row in connection.execute(query("measures").replace("{where}", where), given):
        yield _measure(row, tuple(assigned.get(row[0], ())))


def _measure(row: tuple[Any, ...], assigned: tuple[Assigned, ...]) -> RunMeasure:
    (
        run_id,
        key,
        workflow,
        environment,
        accepted,
        settled,
        status,
        final,
        success,
        cost,
        tokens,
        retries,
        began,
        asks,
        answered,
        roles,
        simulated,
        hits,
    ) = row
    return RunMeasure(
        run_id=run_id,
        key=key,
        workflow=workflow,
        environment=environment,
        accepted=datetime.fromisoformat(accepted),
        settled=None if settled is None else datetime.fromisoformat(settled),
        status=None if status is None else Status(status),
        final=bool(final),
        success=bool(success),
        cost=None if cost is None else Decimal(cost),
        tokens=tokens,
        retries=retries,
        cascade=tuple(text.partition(" ")[0] for text in _split(began)),
        asks=asks,
        mismatches=tuple(_mismatches(_split(answered))),
        roles={role: choice["model"] for role, choice in json.loads(roles or "{}").items()},
        assigned=assigned,
        simulated=bool(simulated),
        must_not=hits,
    )


def _split(joined: str | None) -> list[str]:
    return sorted(joined.split(",")) if joined else []


def _mismatches(pairs: Iterable[str]) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        pinned, _, response = pair.partition("\n")
        if response and other_model(pinned, response):
            yield pinned, response
