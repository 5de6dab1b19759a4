"""The memory of a whole worker: an app with a real provider client, after runs against the simulator in another process."""
# ruff: noqa: ARG002 - each takes what its framework gives

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from resident import resident_mb

from trimtab import App, Plan, Specialist, Status, Step, Workflow, tool
from trimtab.policy.load import parse

RUNS = 20
TEXT = "Hold a berth for larkspur."
BOOK = [
    {
        "request": TEXT,
        "plan": {
            "subtasks": [
                {
                    "id": f"s{n}",
                    "specialist": "berths",
                    "action": "hold",
                    "instruction": "Hold it.",
                    "inputs": {"nights": n},
                }
                for n in range(1, 6)
            ]
        },
    }
]


@dataclass(frozen=True, slots=True)
class Request:
    text: str


class Berths(Specialist, role="berths"):
    """You hold berths."""

    @tool("irreversible")
    async def hold(self, step: Step, nights: int) -> str:
        """Hold a berth."""
        return f"held for {nights} nights"


class Bench(Workflow[Request, dict[str, object]], name="bench"):
    """You find berths."""

    def faults(self, request: Request, plan: Plan) -> list[str]:
        return []

    def conclude(self, request: Request, results: Mapping[str, object]) -> dict[str, object]:
        return dict(results)


async def simulate() -> None:
    """Serve the answer book and say where, until the reader is gone."""
    from trimtab.models.simulator import AnswerBook, Profile, Simulator

    simulator = Simulator(AnswerBook.from_entries(BOOK), Profile.load("perfect"), pace=0)
    print(await simulator.start(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await simulator.close()


async def work(url: str) -> dict[str, float]:
    """Do some runs, all at once, and say how much memory that took."""
    imported = resident_mb()
    text = f'[roles]\ndefault = "anthropic:claude-haiku-4-5"\n[providers.anthropic]\nkind = "anthropic"\nbase_url = "{url}"\n'
    with TemporaryDirectory(prefix="bench-engine-") as folder:
        store = Path(folder) / "trimtab.db"
        async with App(Bench([Berths()]), policy=parse(text, "bench.toml"), store=store) as app:
            runs = await asyncio.gather(*(app.start(Bench, Request(TEXT)) for _ in range(RUNS)))
            standings = await asyncio.gather(*(run.settled() for run in runs))
            assert {s.status for s in standings} == {Status.COMPLETED}, standings
            gc.collect()
            return {"imported": imported, "after": resident_mb(), "runs": len(runs)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulate", action="store_true")
    if parser.parse_args().simulate:
        asyncio.run(simulate())
        return
    here = [sys.executable, __file__, "--simulate"]
    with subprocess.Popen(here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdin is not None
        assert simulator.stdout is not None
        json.dump(asyncio.run(work(simulator.stdout.readline().strip())), sys.stdout)
        simulator.stdin.close()


if __name__ == "__main__":
    main()
