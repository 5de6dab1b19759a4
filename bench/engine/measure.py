"""What every engine's process shares: the size of the workflow, the closed loop that drives it, and the figures it prints.

Standard library only: it is imported in two virtual environments.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

SUBTASKS = [f"subtask-{n}" for n in range(5)]
STEPS = (1, 2)
TEXT = "The berth is free from Saturday noon. " * 52  # a result of 2 KB

RunOne = Callable[[str], Awaitable[None]]
Opens = Callable[[Path], AbstractAsyncContextManager[RunOne]]


def plan_result() -> dict[str, object]:
    """What the plan step gives."""
    return {"subtasks": SUBTASKS, "text": TEXT}


def step_result(subtask: str, step: int) -> dict[str, object]:
    """What one step of one subtask gives."""
    return {"subtask": subtask, "step": step, "text": TEXT}


@dataclass(frozen=True)
class Figures:
    """One measurement."""

    workflows: int
    seconds: float
    per_second: float
    cpu_ms: float


async def closed_loop(run_one: RunOne, ids: Iterator[str], concurrency: int) -> Figures:
    """Do all of `ids`, always `concurrency` at once."""
    done = 0

    async def worker() -> None:
        nonlocal done
        for run_id in ids:
            await run_one(run_id)
            done += 1

    cpu, began = cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    seconds = time.perf_counter() - began
    return Figures(done, seconds, done / seconds, (cpu_seconds() - cpu) / done * 1000)


async def measure(opens: Opens, concurrency: int, seconds: float) -> Figures:
    """Warm up, see how fast it goes, and measure as many workflows as take about `seconds`."""
    with TemporaryDirectory(prefix="bench-engine-") as folder:
        async with opens(Path(folder)) as run_one:
            ids = (f"run-{n}" for n in count())
            await closed_loop(run_one, islice(ids, 2 * concurrency), concurrency)
            pilot = await closed_loop(run_one, until(ids, time.perf_counter() + seconds / 4), concurrency)
            rounds = max(2, math.ceil(pilot.per_second * seconds / concurrency))
            return await closed_loop(run_one, islice(ids, rounds * concurrency), concurrency)


def until(ids: Iterator[str], deadline: float) -> Iterator[str]:
    """Give ids as long as there is time."""
    for run_id in ids:
        yield run_id
        if time.perf_counter() > deadline:
            return


def cpu_seconds() -> float:
    """CPU time of all threads of this process, in user and kernel mode."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(**kinds: Opens) -> None:
    """Measure the kind of engine that the command line names and print the figures as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(kinds))
    parser.add_argument("concurrency", type=int)
    parser.add_argument("seconds", type=float)
    asked = parser.parse_args()
    figures = asyncio.run(measure(kinds[asked.kind], asked.concurrency, asked.seconds))
    json.dump(asdict(figures), sys.stdout)
