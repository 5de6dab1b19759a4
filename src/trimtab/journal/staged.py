"""Reads what is new of one stage of a rollout: facts are only ever added, so a place in each table is all that must be remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.core.same_model import other_model
from trimtab.journal.columns import time_text
from trimtab.journal.rows import query

_PLACE = "SELECT (SELECT max(rowid) FROM assignment), (SELECT max(rowid) FROM outcome), (SELECT max(rowid) FROM model_call), (SELECT max(rowid) FROM score)"
_SCORED = "SELECT DISTINCT run_id FROM score WHERE rowid > :after"
_BEFORE = "SELECT count(*) FROM run WHERE environment = :environment AND accepted_at >= :since AND accepted_at < :until"


@dataclass(frozen=True, slots=True)
class Place:
    """How far the tables were read: assignments, outcomes, calls of models, scores."""

    assignment: int = 0
    outcome: int = 0
    model_call: int = 0
    score: int = 0


@dataclass(frozen=True, slots=True)
class StageRun:
    """A run of a stage, when it was accepted."""

    run_id: str
    arm: str
    weight: float
    accepted: datetime


@dataclass(frozen=True, slots=True)
class News:
    """What came since a place. `stood` are runs that stood still (again); `capped` those on the new map that a cap stopped.

    `mismatched`: (run, pinned model, model of the response) of answers on the new map that came from another model. `scored`: runs
    that somebody looked at.
    """

    place: Place
    drawn: Sequence[StageRun]
    stood: Sequence[str]
    capped: Sequence[str]
    mismatched: Sequence[tuple[str, str, str]]
    scored: Sequence[str]


def news(connection: sqlite3.Connection, stage: str, after: Place) -> News:
    """Read what came to a stage (see `policy.rollout_kept.stage_name`) since a place."""
    place = Place(*(found or 0 for found in connection.execute(_PLACE).fetchone()))
    if place == after:
        return News(place, (), (), (), (), ())
    drawn = connection.execute(query("stage_drawn"), {"stage": stage, "after": after.assignment}).fetchall()
    stood = connection.execute(query("stage_stood"), {"stage": stage, "after": after.outcome}).fetchall()
    answered = connection.execute(query("stage_answered"), {"stage": stage, "after": after.model_call}).fetchall()
    scored = connection.execute(_SCORED, {"after": after.score}).fetchall()
    return News(
        place,
        [StageRun(run_id, arm, weight, datetime.fromisoformat(at)) for run_id, arm, weight, at in drawn],
        [run_id for run_id, _ in stood],
        [run_id for run_id, capped in stood if capped],
        [(run_id, pinned, response) for run_id, pinned, response in answered if other_model(pinned, response)],
        [run_id for (run_id,) in scored],
    )


def accepted_before(connection: sqlite3.Connection, environment: str, since: datetime, until: datetime) -> int:
    """Count the runs of an environment that were accepted from `since` until before `until`."""
    given = {"environment": environment, "since": time_text(since), "until": time_text(until)}
    return connection.execute(_BEFORE, given).fetchone()[0]
