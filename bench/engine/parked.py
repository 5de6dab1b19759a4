"""The memory that runs add which wait for an approval, in the process that parked them and in one that was started later.

`park STORE RUNS` parks them; `restart STORE` starts an engine on the store, and `finish STORE` also approves every run and
waits for its end. Each prints the memory of its process as one line of JSON.
"""
# ruff: noqa: ARG002 - each takes what its framework gives

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import measure
import on_trimtab
from on_trimtab import Conductor, Facts
from resident import resident_mb

from trimtab.app import SystemClock
from trimtab.core.outcome import Status
from trimtab.core.ports import Ended, Parked, Steps, Worked
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.journal.writer import SqliteFacts

APPROVAL = "approval/0123456789abcdef"
WARM_UP = 200


class Waiting(Conductor):
    """Plans, does the first step of a subtask, and waits for an approval of the second."""

    async def perform(self, steps: Steps, payload: str) -> Ended | Parked:
        facts, subtask = Facts(steps.run_id, written=True), measure.SUBTASKS[0]
        first, second = f"do/{subtask}/model/0/1", f"do/{subtask}/tool/0.0/1"
        await steps.step("plan/0/1", lambda: self.work(measure.plan_result(), facts.asked("plan/0/1", None)))
        await steps.step(first, lambda: self.work(measure.step_result(subtask, 1), facts.asked(first, subtask)))
        if steps.run_id.startswith("parked") and steps.event(APPROVAL) is None:
            return Parked(Status.AWAITING_APPROVAL, frozenset({APPROVAL}))
        await self.write(steps, facts, second, subtask)
        return Ended(Status.COMPLETED, facts=facts.ended())

    async def called(self, facts: Facts, step: str, subtask: str) -> Worked:
        return Worked(measure.step_result(subtask, 2), facts.called(step, subtask))


async def started(store: Path) -> EmbeddedEngine:
    engine = EmbeddedEngine(store, Waiting(facts=True), SqliteFacts(), SystemClock())
    await engine.start()
    return engine


async def settle(engine: EmbeddedEngine, name: str, runs: int) -> None:
    """Start runs, 16 at once, and wait until each has ended or waits."""
    names = iter([f"{name}-{n}" for n in range(runs)])

    async def worker() -> None:
        for run_id in names:
            await engine.settled(await engine.accept(on_trimtab.new_run(run_id, facts=True)))

    await asyncio.gather(*(worker() for _ in range(16)))


async def park(store: Path, runs: int) -> dict[str, float]:
    engine = await started(store)
    await settle(engine, "ended", WARM_UP)
    before = settled_mb()
    await settle(engine, "parked", runs)
    after = settled_mb()
    await engine.close()
    return {"before": before, "after": after}


async def restart(store: Path) -> dict[str, float]:
    engine = await started(store)
    await asyncio.sleep(0.5)
    after = settled_mb()
    await engine.close()
    return {"after": after}


async def finish(store: Path) -> dict[str, float]:
    engine = await started(store)
    waiting = ids(store)
    await asyncio.gather(*(engine.deliver(run_id, APPROVAL, {"approved": True}) for run_id in waiting))
    standings: list[Any] = await asyncio.gather(
        *(engine.settled(run_id, through=frozenset(Status)) for run_id in waiting)
    )
    await engine.close()
    return {"finished": sum(s.status is Status.COMPLETED for s in standings)}


def ids(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as connection:
        return [row[0] for row in connection.execute("SELECT run_id FROM engine_run WHERE state='parked'")]


def settled_mb() -> float:
    gc.collect()
    return resident_mb()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("phase", choices=["park", "restart", "finish"])
    parser.add_argument("store", type=Path)
    parser.add_argument("runs", type=int, nargs="?", default=0)
    asked = parser.parse_args()
    match asked.phase:
        case "park":
            figures = asyncio.run(park(asked.store, asked.runs))
        case "restart":
            figures = asyncio.run(restart(asked.store))
        case _:
            figures = asyncio.run(finish(asked.store))
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
