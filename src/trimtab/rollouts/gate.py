"""Asks the gate of the stage that a rollout is at, from what a store has: its runs, what was before them, and what rings.

Facts are only ever added, so a `Gates` that is kept reads what is new since its last look, and nothing where nothing is. A run that
was counted when it first stood still and went on (an approval came) is counted anew, but not at every such turn.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING

from trimtab.core.measures import RunMeasure
from trimtab.journal.measures import measures
from trimtab.journal.reader import Journal
from trimtab.journal.staged import News, Place, StageRun, accepted_before, news
from trimtab.learn.metrics import Outcome, Pending, cohort, outcomes
from trimtab.policy.assign import TREATMENT
from trimtab.policy.rollout_kept import stage_name
from trimtab.policy.rollout_spec import RolloutSpec

if TYPE_CHECKING:
    from trimtab.learn.gate import Gated, StageGate
    from trimtab.rollouts.moves import Standing

LOOK_BACK = timedelta(days=28)  # whole weeks, so that every day of the week is in it as often
MOST_BEFORE = 20_000  # runs; of more every so-manieth is read
_AGAIN_AFTER = 60.0  # seconds between counting anew, and
_AGAIN_SHARE = 0.02  # of the time at most


@dataclass(slots=True)
class _Kept:
    """What was read of one stage. `waiting` are the runs that are not counted yet, in the order they were accepted."""

    stage: str
    gate: StageGate
    place: Place = field(default_factory=Place)
    waiting: deque[StageRun] = field(default_factory=deque[StageRun])
    stood: set[str] = field(default_factory=set[str])
    counted: set[str] = field(default_factory=set[str])
    drawn: list[int] = field(default_factory=lambda: [0, 0])
    capped: set[str] = field(default_factory=set[str])
    mismatched: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    stale: bool = False
    read_at: float = 0.0
    took: float = 0.0


@dataclass(slots=True)
class Gates:
    """The gates of the rollouts of one store, kept from look to look; each at the stage it is at."""

    store: Path
    _kept: dict[str, _Kept] = field(default_factory=dict[str, _Kept], init=False)

    def look(self, standing: Standing, now: datetime) -> Gated | None:
        """Say what the runs of the stage that a rollout is at come to; None: it is at none.

        Raises ModuleNotFoundError without the extra `learn`.
        """
        name, place = standing.last.name, standing.rollout.at
        if place is None:
            self._kept.pop(name, None)
            return None
        # numpy is slow to import, and a store whose rollouts have ended never needs it.
        from trimtab.learn.gate import Now

        stage = stage_name(name, standing.last.attempt, place)
        state = standing.rollout.stages[place]
        entered = state.entered or standing.last.at
        with Journal(self.store) as journal:
            kept = self._kept.get(name)
            if kept is None or kept.stage != stage or _is_due(kept):
                kept = self._kept[name] = journal.read(lambda c: _begun(c, standing, place, stage, entered))
            began = time.monotonic()
            journal.read(lambda c: _read(c, kept, standing.spec, now))
            if not kept.read_at:
                kept.read_at, kept.took = time.monotonic(), kept.took + time.monotonic() - began
        pending = [
            Pending(r.run_id, r.arm, r.accepted + standing.spec.deadline)
            for r in kept.waiting
            if r.run_id not in kept.stood
        ]
        drawn = kept.drawn[0], kept.drawn[1]
        seen = Now(now, entered, state.held, pending, drawn, _alarms(kept), len(kept.stood))
        return kept.gate.look(seen)


def gate_of(store: Path, standing: Standing, now: datetime) -> Gated | None:
    """Ask once; who asks again and again keeps a `Gates`."""
    return Gates(store).look(standing, now)


def _is_due(kept: _Kept) -> bool:
    """Whether what was counted is to be counted anew."""
    age = time.monotonic() - kept.read_at
    return kept.stale and age >= max(_AGAIN_AFTER, kept.took / _AGAIN_SHARE)


def _begun(connection: Connection, standing: Standing, place: int, stage: str, entered: datetime) -> _Kept:
    from trimtab.learn.gate import StageGate

    began = time.monotonic()
    spec = standing.spec
    history: Sequence[Outcome] = ()
    every = 1
    if spec.stages[place].weight >= 1.0:
        history, every = _history(connection, standing, spec.stages[place].environment, entered)
    kept = _Kept(stage, StageGate(spec, place, history, every))
    kept.took = time.monotonic() - began
    return kept


def _read(connection: Connection, kept: _Kept, spec: RolloutSpec, now: datetime) -> None:
    """Take in what is new, and count the runs whose turn has come."""
    fresh = news(connection, kept.stage, kept.place)
    _note(kept, fresh)
    ready: list[str] = []
    while kept.waiting:
        first = kept.waiting[0]
        if first.run_id not in kept.stood and now < first.accepted + spec.deadline:
            break
        kept.waiting.popleft()
        kept.stood.discard(first.run_id)
        ready.append(first.run_id)
    if ready:
        kept.counted.update(ready)
        kept.gate.add(cohort(measures(connection, runs=ready), kept.stage, spec.deadline, now).counted)


def _note(kept: _Kept, fresh: News) -> None:
    kept.place = fresh.place
    kept.waiting.extend(fresh.drawn)
    for run in fresh.drawn:
        kept.drawn[run.arm == TREATMENT] += 1
    for run_id in fresh.stood:
        if run_id in kept.counted:
            kept.stale = True
        else:
            kept.stood.add(run_id)
    kept.stale = kept.stale or not kept.counted.isdisjoint(fresh.scored)
    kept.capped.update(fresh.capped)
    for run_id, pinned, response in fresh.mismatched:
        kept.mismatched.setdefault(run_id, (pinned, response))


def _history(
    connection: Connection, standing: Standing, environment: str, until: datetime
) -> tuple[list[Outcome], int]:
    """Give what ran there on the old map before the stage, and how many runs stand behind each."""
    since = until - LOOK_BACK
    every = -(-accepted_before(connection, environment, since, until) // MOST_BEFORE) or 1
    found = measures(connection, since=since, until=until, environment=environment, every=every if every > 1 else None)
    old, mine = standing.before.get(environment, {}), f"{standing.last.name}@"
    return outcomes((run for run in found if _is_old(run, old, mine)), standing.spec.deadline, until), every


def _is_old(run: RunMeasure, old: Mapping[str, str], mine: str) -> bool:
    """Whether a run was on the map that the rollout replaces: its models, and not an earlier stage or attempt of the change."""
    treated = any(a.arm == TREATMENT and a.experiment.startswith(mine) for a in run.assigned)
    return not treated and all(run.roles.get(role, model) == model for role, model in old.items())


def _alarms(kept: _Kept) -> list[str]:
    found: list[str] = []
    if kept.mismatched:
        run_id, (pinned, response) = next(iter(kept.mismatched.items()))
        runs = f"{len(kept.mismatched)} {'run' if len(kept.mismatched) == 1 else 'runs'}"
        found.append(
            f"pin mismatch: in {runs} on the new map another model answered than was pinned ({run_id}: {response!r} instead of {pinned!r})"
        )
    if kept.capped:
        runs = f"{len(kept.capped)} {'run' if len(kept.capped) == 1 else 'runs'}"
        found.append(f"budget breach: a cap stopped {runs} on the new map ({min(kept.capped)})")
    return found
