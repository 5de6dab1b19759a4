"""Many runs under one shared cap, killed and restarted; then held against every promise of budgets.

Used by `test_budgets.py` in short and by `bench/chaos/budget.py` at length.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.integration.budget_worker import FIRST_DAY, Job
from trimtab.journal.reader import Journal
from trimtab.word import resume_elsewhere

ROOT = Path(__file__).parents[2]
KILLED = -9
PRICE = Decimal(1) / 1_000_000


@contextmanager
def workers() -> Generator[Any]:
    """Start the process that forks workers; gives a function that does a job and gives its exit code."""
    command = [sys.executable, "-m", "tests.integration.budget_worker"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def do(job: Job) -> int:
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield do
        process.stdin.close()


@dataclass(frozen=True)
class Bill:
    """What the provider was asked for and bills."""

    day: int
    response_id: str
    run_id: str
    question: str
    tokens: int


@dataclass
class Seen:
    """What a file held at one moment."""

    rows: list[tuple[Any, ...]]
    answered: set[str]
    paused: set[str]
    ended: set[str]
    balances: dict[str, list[Any]]


@dataclass
class Chaos:
    """One store, worked on by lives of a worker."""

    do: Any
    folder: Path
    runs: int
    at_once: int
    cap: Decimal
    lives: int = 0
    kills: int = 0
    tightest: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)
    peaks: dict[int, Decimal] = field(default_factory=dict)
    raised: set[int] = field(default_factory=set)

    def life(self, *, day: int = 0, kill_after: float | None = None) -> Seen:
        """Let a worker live, and hold what it left against what is promised; on `raised` days people gave more than the cap."""
        before = self.seen() if (self.folder / "t.db").exists() else None
        self.lives += 1
        code = self.do(Job(str(self.folder), self.lives, self.runs, self.at_once, str(self.cap), day, kill_after))
        assert code in (0, KILLED), f"the worker ended with {code}"
        self.kills += code == KILLED
        self._check_loaded(before)
        left = self.seen()
        self._check_recovered(before, left)
        self._check_caps(left)
        return left

    def bills(self) -> list[Bill]:
        path = self.folder / "bills"
        return [Bill(*json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def seen(self) -> Seen:
        """Read a copy, in a process that did not write it, so that the next worker recovers the file itself."""
        with TemporaryDirectory() as aside:
            for name in ("t.db", "t.db-wal"):
                if (self.folder / name).exists():
                    shutil.copy(self.folder / name, Path(aside) / name)
            try:
                with Journal(Path(aside) / "t.db") as journal:
                    by_day, _ = journal.balances(date(2026, 1, 1))
                    return _read(journal, by_day)
            except Exception as error:
                if "no trimtab store" in str(error) or "older trimtab" in str(error):
                    return Seen([], set(), set(), set(), {})  # killed before the tables were there
                raise

    def _check_caps(self, left: Seen) -> None:
        # At every prefix of what was written, in the order it was written.
        no_cap = {_iso(day) for day in self.raised}
        newest: dict[tuple[str, str], tuple[str, Decimal]] = {}
        days: defaultdict[str, Decimal] = defaultdict(Decimal)
        for run_id, step, state, day, usd, _, _ in left.rows:
            was = newest.get((run_id, step))
            assert was is None or was[0] == "reserved", f"{step} of {run_id} was {state} after it was {was}"
            assert was is not None or state == "reserved", f"{step} of {run_id} was {state} and never reserved"
            newest[run_id, step] = (state, Decimal(usd))
            days[day] += Decimal(usd) - (was[1] if was else 0)
            if day not in no_cap:
                assert days[day] <= self.cap, f"{days[day]} of {self.cap} on {day}"
                self.tightest = max(self.tightest, days[day] / self.cap)
        billed = Counter[int]()
        for bill in self.bills():
            billed[bill.day] += bill.tokens
        for day, tokens in billed.items():
            amount = tokens * PRICE
            assert amount <= days[_iso(day)], "more is billed than is counted"
            if day not in self.raised:
                assert amount <= self.cap, f"the provider bills {amount} of {self.cap} on day {day}"
                self.peaks[day] = amount

    def _check_loaded(self, before: Seen | None) -> None:
        path = self.folder / f"loaded{self.lives}"
        if before is not None and path.exists():
            loaded = {name: amounts for name, amounts in json.loads(path.read_text()).items() if name.split(" ")[1]}
            wanted = {name: amounts for name, amounts in before.balances.items() if name in loaded}
            assert {n: [Decimal(a[0]), *a[1:]] for n, a in loaded.items()} == wanted, "recovery changed the ledger"

    def _check_recovered(self, before: Seen | None, left: Seen) -> None:
        # What was under way when the worker died is lost, at what was reserved for it.
        if before is None:
            return
        open_before = {(r[0], r[1]): r for r in before.rows if r[2] == "reserved"}
        for r in before.rows:
            if r[2] != "reserved":
                open_before.pop((r[0], r[1]), None)
        for run_id, step, state, _, usd, tokens, turns in left.rows[len(before.rows) :]:
            if (was := open_before.get((run_id, step))) is not None:
                assert (state, usd, tokens, turns) == ("lost", *was[4:]), f"{step} of {run_id} was made again"

    def check_paid_once(self, left: Seen) -> None:
        """See that no question was billed again whose answer was journaled, and that each unseen bill was counted."""
        asked: defaultdict[str, list[str]] = defaultdict(list)
        for bill in self.bills():
            asked[bill.question].append(bill.response_id)
        for ids in asked.values():
            assert not left.answered.intersection(ids[:-1]), f"{ids[0]} was answered, journaled, and paid again"
        unseen = sum(bill.response_id not in left.answered for bill in self.bills())
        states = Counter(row[2] for row in left.rows)
        assert unseen <= states["lost"]
        self.billed = sum(bill.tokens for bill in self.bills()) * PRICE


def _iso(day: int) -> str:
    return (FIRST_DAY + timedelta(days=day)).date().isoformat()


def _read(journal: Journal, by_day: Any) -> Seen:
    connection: sqlite3.Connection = journal._connection

    def rows(sql: str) -> list[Any]:
        return connection.execute(sql).fetchall()

    assert rows("PRAGMA integrity_check") == [("ok",)]
    balances: defaultdict[str, list[Any]] = defaultdict(lambda: [Decimal(0), 0, 0])
    for b in by_day:
        total = balances[f"{b.day} {b.role}"]
        total[:] = [total[0] + b.usd, total[1] + b.tokens, total[2] + b.turns]
    newest = "SELECT status, final FROM outcome o WHERE o.run_id = r.run_id ORDER BY final DESC, number DESC, rowid DESC LIMIT 1"
    stands = rows(f"SELECT run_id, (SELECT status FROM ({newest})), (SELECT final FROM ({newest})) FROM run r")
    odd = rows("SELECT DISTINCT status, reason FROM outcome WHERE status NOT IN ('completed', 'paused_budget')")
    assert not odd, odd
    return Seen(
        rows=rows("SELECT run_id, step, state, day, usd, tokens, turns FROM budget ORDER BY rowid"),
        answered={i for (i,) in rows("SELECT response_id FROM model_call WHERE error_class = ''")},
        paused={run for run, status, final in stands if status == "paused_budget" and not final},
        ended={run for run, _, final in stands if final},
        balances=dict(balances),
    )


def play(chaos: Chaos, *, seed: int, kills: int, longest: float) -> dict[str, Any]:
    """Kill a worker `kills` times, let it reach the cap, raise the cap for some runs, and let the days bring in the rest."""
    dice = random.Random(seed)
    day = 0
    while chaos.kills < kills:
        before = chaos.kills
        chaos.life(day=day, kill_after=dice.uniform(0.0, longest))
        if chaos.kills == before:
            # It was done before it could be killed, and has used up its day; enough runs must be left to reach the cap.
            day, longest = day + 1, longest / 2
    first = chaos.life(day=day)
    assert first.paused, "the cap was never reached"
    assert len(first.paused) + len(first.ended) == chaos.runs
    raised = sorted(first.paused)[: chaos.runs // 20]
    for run_id in raised:
        assert resume_elsewhere(chaos.folder / "t.db", run_id, by="olga", raised={"usd_per_day": "1000"})
    chaos.raised.add(day)
    left = chaos.life(day=day)
    assert left.ended == first.ended.union(raised), "a raised cap let others go on than those it was raised for"
    while left.paused and day < 30:
        day += 1
        left = chaos.life(day=day)
    assert len(left.ended) == chaos.runs, f"{chaos.runs - len(left.ended)} runs did not end"
    chaos.check_paid_once(left)
    states = Counter(row[2] for row in left.rows)
    return {
        "runs": chaos.runs,
        "kills": chaos.kills,
        "paused at the cap after the last kill": len(first.paused),
        "ended by then": len(first.ended),
        "let go on with a raised cap": len(raised),
        "days until all had ended": day + 1,
        "calls reserved": states["reserved"],
        "calls settled": states["settled"],
        "calls lost": states["lost"],
        "largest share of the cap counted at any moment": f"{chaos.tightest:.4%}",
        "most billed on one day": f"${max(chaos.peaks.values()):.6f} of ${chaos.cap}",
        "billed in all": f"${chaos.billed:.6f}",
    }
