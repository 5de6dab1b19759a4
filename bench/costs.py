"""How long `trimtab cost report` takes, and how much memory, over a store of a million model calls, by everything it groups by.

    python bench/costs.py [--calls 1000000] [--repeats 3] [--store FILE]

The store is made with the journal's own schema, in the order in which runs write: 9 calls a run on average, by an orchestrator and up
to 5 of 8 specialists, on 4 models and 3 hosts over 90 days; 4 % of the attempts fail and are tried again, 2 % of the subtasks escalate
to another model, 2 % of the runs replace a subtask; 6 % of the runs fail, 2 % are cancelled, half are in an experiment. Each report is
the real command in a process of its own, after one that warms the disk's cache. `--store` keeps the file and takes it up again.
Exits with 1 where a report takes 2 seconds or 200 MB (median of the repeats), or its total is not the sum of what was written.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This folder holds a `statistics.py`, which is not the one that others import.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import sqlite3  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import closing  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from datetime import UTC, datetime, timedelta  # noqa: E402
from decimal import Decimal  # noqa: E402
from itertools import count  # noqa: E402
from statistics import median  # noqa: E402

from trimtab.core.values import digest  # noqa: E402
from trimtab.journal.writer import SqliteFacts  # noqa: E402

SECONDS, MEGABYTES = 2.0, 200
BY = ["", "role", "model", "arm", "workflow", "outcome", "day", "host", "role,model", "day,host", "workflow,arm"]
PRICES = {"anthropic:claude-haiku-4-5": (100, 500), "anthropic:claude-sonnet-4-6": (300, 1500),
          "anthropic:claude-haiku-5-5": (10, 50), "anthropic:claude-opus-5-5": (400, 2000)}  # fmt: skip
MODELS = list(PRICES)
ROLES = ["berths", "booking", "charts", "crew", "mail", "papers", "payment", "weather"]
PRICE_LIST = "genai-prices 0.2.3, trimtab prices 2026-11-23 0123456789abcdef"
START = datetime(2026, 8, 1, tzinfo=UTC)
BATCH = 2_000  # runs
TABLES = {"run": 6, "assignment": 5, "model_call": 23, "subtask": 10, "rung": 8, "outcome": 11}
Rows = dict[str, list[tuple[object, ...]]]


@dataclass(frozen=True)
class Took:
    seconds: float
    cpu: float
    megabytes: float
    out: str


class Made:
    """Makes runs until there are enough calls, and keeps the sum of their dollars in units of 1e-8."""

    def __init__(self, calls: int) -> None:
        self.wanted, self.calls, self.units = calls, 0, 0
        self.dice = random.Random(5)

    def batches(self) -> Iterator[Rows]:
        numbers = count()
        while self.calls < self.wanted:
            rows: Rows = {name: [] for name in TABLES}
            while self.calls < self.wanted and len(rows["run"]) < BATCH:
                self._run(rows, next(numbers))
            yield rows

    def _run(self, rows: Rows, number: int) -> None:
        dice, run_id = self.dice, digest(["bench", number])
        at = START + timedelta(days=90) * (self.calls / self.wanted)
        host, cheap = f"{dice.choice(['alpha', 'beta', 'gamma'])}.example", dice.random() < 0.5
        model = {role: MODELS[0] if cheap else dice.choice(MODELS) for role in ["orchestrator", *ROLES]}
        where = dice.choice(["production"] * 4 + ["staging"])
        rows["run"].append(
            (
                run_id,
                dice.choice(["charter", "refit", "tour"]),
                f"key-{number}",
                where,
                '{"guests":4}',
                at.isoformat("T", "microseconds"),
            )
        )
        if dice.random() < 0.5:
            rows["assignment"].append((run_id, "bigger-planner", dice.choice(["control", "treatment"]), 0.5, 0.5))
        clock = iter(at + timedelta(seconds=2 * n) for n in range(200))

        def ask(talk: str, role: str, subtask: str | None, turn: int, asked: str) -> str:
            attempt = 1
            while self.dice.random() < 0.04:
                step = f"{talk}/{turn}/{attempt}"
                self._call(rows, run_id, step, role, subtask, attempt, asked, next(clock), host, "overloaded")
                rows["rung"].append((run_id, step, "retry", role, subtask, asked, "overloaded", at.isoformat()))
                attempt += 1
            self._call(rows, run_id, f"{talk}/{turn}/{attempt}", role, subtask, attempt, asked, next(clock), host, "")
            return f"{talk}/{turn}/{attempt}"

        ask("plan", "orchestrator", None, 0, model["orchestrator"])
        for role in dice.sample(ROLES, dice.randint(2, 5)):
            talk, asked = f"do/{role}-1/model", model[role]
            for turn in range(2):
                last = ask(talk, role, f"{role}-1", turn, asked)
            if dice.random() < 0.02:
                rows["rung"].append((run_id, last, "escalate", role, f"{role}-1", MODELS[1], "loop", at.isoformat()))
                ask(f"do/{role}-1/on1/model", role, f"{role}-1", 0, MODELS[1])
            replaced = dice.random() < 0.005
            rows["subtask"].append(
                (run_id, f"{role}-1", "replaced" if replaced else "done", role, "act", None, "", at.isoformat(), "", "")
            )
        status = dice.choices(["completed", "failed", "cancelled", "awaiting_approval"], [88, 6, 2, 4])[0]
        intended = status not in ("failed", "cancelled")
        rows["outcome"].append(
            (
                run_id,
                0,
                status != "awaiting_approval",
                status,
                "null",
                "",
                "",
                dice.random() < 0.92,
                intended,
                0,
                next(clock).isoformat(),
            )
        )

    def _call(  # noqa: PLR0917 - one row, one place where it is made
        self, rows: Rows, run_id: str, step: str, role: str, subtask: str | None, attempt: int, asked: str, at: datetime, host: str, error: str
    ) -> None:  # fmt: skip
        dice, (dear_in, dear_out) = self.dice, PRICES[asked]
        given, told, read = dice.randrange(300, 12_000), dice.randrange(40, 900), dice.choice([0, 0, 4_096])
        units = given * dear_in + told * dear_out + read * dear_in // 10
        self.units += units
        self.calls += 1
        rows["model_call"].append(
            (run_id, step, role, subtask, attempt, asked, None if error else asked[10:], f"msg_{self.calls:024}", given, told, read, 0, 0,
             None if error else "tool_use", error, error, 1234.5, str(Decimal(units).scaleb(-8)), 0, at.isoformat("T", "microseconds"),
             host, PRICE_LIST, str(Decimal(read * dear_in * 9 // 10).scaleb(-8)))
        )  # fmt: skip


def make(path: Path, calls: int) -> Decimal:
    """Write the store and give the sum of its dollars."""
    made, began = Made(calls), time.perf_counter()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("page_size=8192", "journal_mode=WAL", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        SqliteFacts().migrate(connection)
        for rows in made.batches():
            connection.execute("BEGIN")
            for name, columns in TABLES.items():
                marks = ", ".join("?" * columns)
                connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows[name])
            connection.execute("COMMIT")
        runs, lines = connection.execute("SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM spend)").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    print(
        f"{made.calls:,} calls of {runs:,} runs ({lines:,} lines of `spend`), {path.stat().st_size / 1e6:,.0f} MB,",
        end=" ",
    )
    print(f"made in {time.perf_counter() - began:.0f} s; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    return Decimal(made.units).scaleb(-8)


def report(path: Path, by: str) -> Took:
    """Run the command and say what it took; the memory is the most the process ever held."""
    command = [sys.executable, "-m", "trimtab", "cost", "report", "--json", "--store", str(path)]
    began = time.perf_counter()
    with subprocess.Popen([*command, *(["--by", by] if by else [])], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, out
    return Took(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out)


def measure(path: Path, repeats: int, total: Decimal | None) -> bool:
    """Print a line for each grouping; whether all bars are met."""
    fine = True
    print("| `--by` | groups | seconds (least to most) | CPU seconds | peak MB | |\n|---|--:|--:|--:|--:|---|")
    report(path, "role")
    for by in BY:
        took = [report(path, by) for _ in range(repeats)]
        told = json.loads(took[0].out)
        seconds = sorted(t.seconds for t in took)
        right = total is None or abs(Decimal(told["total"]["usd"]) - total) < Decimal("1e-6")
        met = right and median(seconds) < SECONDS and max(t.megabytes for t in took) < MEGABYTES
        fine &= met
        cpu, most = median(t.cpu for t in took), max(t.megabytes for t in took)
        print(
            f"| {by or 'nothing'} | {len(told['groups'])} | {median(seconds):.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f}) | {cpu:.2f} "
            f"| {most:.0f} | {'met' if met else '**missed**' if right else '**wrong sum**'} |",
            flush=True,
        )
    print(f"\nbars: under {SECONDS:g} s and {MEGABYTES} MB each, and the exact sum")
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--store", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-costs-") as folder:
        path = asked.store or Path(folder) / "costs.db"
        total = None if path.exists() else make(path, asked.calls)
        return 0 if measure(path, asked.repeats, total) else 1


if __name__ == "__main__":
    sys.exit(main())
