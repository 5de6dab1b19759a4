"""Kills workers and looks at what they left: used by `test_crash.py` in short and by the benches at length."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.integration.crash_worker import Job
from tests.integration.forking import Workers

KILLED = -9
BEGUN = "/begun"
RESULT_STEPS = "SELECT r.run_id, s.name FROM engine_step s JOIN engine_run r ON r.seq = s.run"


def workers_of() -> Workers:
    """Give the process that forks workers of the small application."""
    return Workers("tests.integration.crash_worker")


@dataclass(frozen=True)
class Snapshot:
    """What the file holds. Read from a copy, so that the next worker recovers the file itself."""

    steps: frozenset[tuple[str, str]]
    begun: frozenset[tuple[str, str]]
    facts: Counter[tuple[str, str]]
    effects: frozenset[tuple[str, str, str]]
    unended: frozenset[str]
    runs: frozenset[str]
    outcomes: Counter[str]
    statuses: Counter[str]
    charged: int


def snapshot(folder: Path) -> Snapshot:
    with TemporaryDirectory() as aside:
        for name in ("t.db", "t.db-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, Path(aside) / name)
        connection = sqlite3.connect(Path(aside) / "t.db")
        try:
            return _read(connection)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            # Killed before the tables were there.
            return Snapshot(*(frozenset(),) * 2, Counter(), *(frozenset(),) * 3, Counter(), Counter(), 0)
        finally:
            connection.close()


def _read(connection: sqlite3.Connection) -> Snapshot:
    def rows(sql: str) -> list[Any]:
        return connection.execute(sql).fetchall()

    assert rows("PRAGMA integrity_check") == [("ok",)]
    facts = rows("SELECT run_id, step FROM model_call UNION ALL SELECT run_id, step FROM tool_call")
    steps = rows(RESULT_STEPS)
    return Snapshot(
        steps=frozenset((run, name) for run, name in steps if not name.endswith(BEGUN)),
        begun=frozenset((run, name.removesuffix(BEGUN)) for run, name in steps if name.endswith(BEGUN)),
        facts=Counter(facts),
        effects=frozenset(rows("SELECT run_id, step, state FROM effect")),
        unended=frozenset(r for (r,) in rows("SELECT run_id FROM engine_run WHERE state <> 'ended'")),
        runs=frozenset(r for (r,) in rows("SELECT run_id FROM engine_run")),
        outcomes=Counter(r for (r,) in rows("SELECT run_id FROM outcome WHERE final")),
        statuses=Counter(s for (s,) in rows("SELECT status FROM outcome WHERE final")),
        charged=rows("SELECT count(*) FROM tool_call WHERE tool='charge' AND outcome='done'")[0][0],
    )


@dataclass
class Chaos:
    """One store, worked on by generations of workers."""

    workers: Workers
    folder: Path
    generations: int = 0
    keys: list[str] = field(default_factory=list)
    before: dict[int, Snapshot] = field(default_factory=dict)

    def generation(
        self, keys: list[str], *, kill_at: int | None = None, kill_after: float | None = None, pace: float = 0.004
    ) -> int:
        """Start a worker on what is there and on these keys too; gives its exit code."""
        self.generations += 1
        self.keys += keys
        if (self.folder / "t.db").exists():
            self.before[self.generations] = snapshot(self.folder)
            check_snapshot(self.before[self.generations])
        wanted = tuple(dict.fromkeys(self.keys))
        return self.workers.do(Job(str(self.folder), self.generations, wanted, kill_at, kill_after, pace))

    def _seen_after(self, generation: int, last: Snapshot) -> Snapshot:
        return self.before.get(generation + 1, last)

    def log(self) -> list[list[Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def check(self) -> Snapshot:
        """Hold what happened against every promise of durability; call it after a generation that was not killed."""
        left = snapshot(self.folder)
        check_snapshot(left)
        accepted = {run for _, what, run, _ in self.log() if what == "accepted"}
        assert accepted <= left.runs, "an acknowledged run was lost"
        assert not left.unended, "a run was left unended"
        assert left.statuses == {"completed": len(left.runs)}
        assert left.outcomes == dict.fromkeys(left.runs, 1), "a run ended twice"
        began = Counter((generation, run, step) for generation, what, run, step in self.log() if what == "began")
        assert set(began.values()) <= {1}, "a step was begun twice in one life"
        for generation, run, step in began:
            known = self.before[generation].steps if generation in self.before else frozenset[Any]()
            assert (run, step) not in known, f"journaled step {step} of {run} was done again"
        for generation, what, run, step in self.log():
            kept = self._seen_after(generation, left)
            assert what != "gave" or (run, step) in kept.steps, f"step {step} of {run} went on before it was durable"
            assert what != "accepted" or run in kept.runs, f"run {run} was acknowledged before it was durable"
        made = [json.loads(p.read_text()) for p in (self.folder / "gateway").iterdir() if "." not in p.name]
        assert Counter(m[0] for m in made) == {"charge": len(left.runs), "send": 2 * len(left.runs)}
        assert left.charged == len(left.runs)
        return left


def check_snapshot(seen: Snapshot) -> None:
    """Steps and their facts stand or fall together, at every moment."""
    assert set(seen.facts.values()) <= {1}, "a fact was doubled"
    steps = {(run, step) for run, step in seen.steps if not step.endswith("/approval")}
    facts = {(run, step) for run, step in seen.facts if "/read/" not in step and not step.endswith("/approval")}
    assert steps == facts, "a step without its fact, or a fact without its step"
    reads = {(run, step.partition("/read/")[0]) for run, step in seen.facts if "/read/" in step}
    assert reads <= steps
    writes = {(run, step) for run, step in seen.begun if "/tool/" in step}
    reserved = {(run, step) for run, step, state in seen.effects if state == "reserved"}
    assert writes == reserved, "a write begun without its line in the ledger, or a line without its write"
    settled = {(run, step) for run, step, state in seen.effects if state in ("committed", "released", "unknown")}
    assert settled == writes & steps, "a write done without its line in the ledger, or a line without its write"


def kill_at_random(workers: Workers, folder: Path, *, seed: int, kills: int, runs: int, longest: float) -> Snapshot:
    """Kill a worker `kills` times at random moments, giving `runs` more requests each time, then let the last one finish."""
    dice = random.Random(seed)
    chaos = Chaos(workers, folder)
    for _ in range(kills):
        first = len(chaos.keys)
        chaos.generation([f"k{n}" for n in range(first, first + runs)], kill_after=dice.uniform(0.005, longest))
    assert chaos.generation([]) == 0
    return chaos.check()


def kill_at_boundary(workers: Workers, folder: Path, number: int, keys: list[str]) -> bool:
    """Kill a worker at its n-th boundary of a step, and again in its next life; False when it has no such boundary."""
    chaos = Chaos(workers, folder)
    killed = chaos.generation(keys, kill_at=number, pace=0) == KILLED
    chaos.generation(keys, kill_at=1 + number % 5, pace=0)
    assert chaos.generation(keys, pace=0) == 0
    chaos.check()
    return killed
