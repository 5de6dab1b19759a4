"""Reads runs as they count: one measure a run, in order of acceptance."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from trimtab.core.measures import Assigned, RunMeasure
from trimtab.core.outcome import Status
from trimtab.journal.columns import time_text
from trimtab.journal.rows import query

_CONDITIONS: Mapping[str, str] = {
    "since": "r.accepted_at >= :since",
    "until": "r.accepted_at < :until",
    "environment": "r.environment = :environment",
    "workflow": "r.workflow = :workflow",
    "experiment": "r.run_id IN (SELECT run_id FROM assignment WHERE experiment = :experiment)",
}
_ASSIGNED = "SELECT run_id, experiment, arm, propensity, weight FROM assignment ORDER BY run_id, experiment"
# A provider answers a name without a date with the dated release behind it: that is the same model.
_RELEASE = re.compile(r"[-@]?\d{4}-?\d{2}-?\d{2}$|-latest$")


def measures(
    connection: sqlite3.Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    environment: str | None = None,
    workflow: str | None = None,
    experiment: str | None = None,
) -> Iterator[RunMeasure]:
    """Give every run accepted from `since` until before `until`, the oldest first."""
    given = {
        "since": since and time_text(since),
        "until": until and time_text(until),
        "environment": environment,
        "workflow": workflow,
        "experiment": experiment,
    }
    where = " AND ".join(text for name, text in _CONDITIONS.items() if given[name] is not None) or "TRUE"
    assigned: dict[str, list[Assigned]] = {}
    for run_id, *rest in connection.execute(_ASSIGNED):
        assigned.setdefault(run_id, []).append(Assigned(*rest))
    for row in connection.execute(query("measures").replace("{where}", where), given):
        yield _measure(row, tuple(assigned.get(row[0], ())))


def other_model(pinned: str, response: str) -> bool:
    """Whether an answer that names `response` came from another model than the `provider:full-id` that was asked."""
    asked = pinned.partition(":")[2] or pinned
    if response == asked:
        return False
    undated = _RELEASE.sub("", asked)
    if undated != asked and not asked.endswith("-latest"):
        # One release was asked for: another one is another model; an answer without a date says neither.
        return response != undated
    return _RELEASE.sub("", response) != undated


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
