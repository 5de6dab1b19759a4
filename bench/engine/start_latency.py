"""How long from `accept` to the first line of the workflow's body, while `concurrency` runs are worked on.

Two loads: steps that take about 100 ms, as short model calls do, and steps that take no time, where the engine is the limit
and what is measured is the length of its queue.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import measure
import on_trimtab
from on_trimtab import Conductor

from trimtab.app import SystemClock
from trimtab.core.outcome import Status
from trimtab.core.ports import Ended, Steps, Worked
from trimtab.core.records import Fact
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.journal.writer import SqliteFacts


@dataclass
class Timing(Conductor):
    """Notes when each run's body began."""

    step_seconds: float
    began: dict[str, float] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    async def perform(self, steps: Steps, payload: str) -> Ended:
        self.began[steps.run_id] = time.perf_counter()
        return await super().perform(steps, payload)

    async def work(self, result: dict[str, Any], facts: Sequence[Fact]) -> Worked:
        if self.step_seconds:
            await asyncio.sleep(self.step_seconds * self.dice.uniform(0.5, 1.5))
        return await super().work(result, facts)


async def latencies(concurrency: int, seconds: float, step_seconds: float) -> list[float]:
    """Drive the engine for `seconds` and give what each start took, in milliseconds."""
    taken: list[float] = []
    conductor = Timing(facts=True, step_seconds=step_seconds)
    with TemporaryDirectory(prefix="bench-engine-") as folder:
        engine = EmbeddedEngine(Path(folder) / "trimtab.db", conductor, SqliteFacts(), SystemClock())
        await engine.start()

        async def run_one(run_id: str) -> None:
            new = on_trimtab.new_run(run_id, facts=True)
            accepted = time.perf_counter()
            await engine.settled(await engine.accept(new), through=frozenset(Status))
            taken.append((conductor.began.pop(run_id) - accepted) * 1000)

        ids: Iterator[str] = (f"run-{n}" for n in count())
        await measure.closed_loop(run_one, islice(ids, 2 * concurrency), concurrency)
        taken.clear()
        await measure.closed_loop(run_one, measure.until(ids, time.perf_counter() + seconds), concurrency)
        await engine.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("concurrency", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("step_ms", type=float)
    asked = parser.parse_args()
    taken = asyncio.run(latencies(asked.concurrency, asked.seconds, asked.step_ms / 1000))
    cuts = quantiles(taken, n=20, method="inclusive")
    json.dump({"starts": len(taken), "p50_ms": cuts[9], "p95_ms": cuts[18]}, sys.stdout)


if __name__ == "__main__":
    main()
