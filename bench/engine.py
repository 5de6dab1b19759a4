"""The embedded engine beside LangGraph and DBOS on the same workflow, its start latency, and its memory, each with its bar.

Every measurement is a process of its own, one after another; the engines take turns in each repeat, so that what else runs on
the machine meets all of them alike. Prints Markdown; exits with 1 where a bar is missed and with 2 where a peer is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).with_suffix("")
PEERS = HERE.parent / ".venv" / "bin" / "python"
VERSIONS = "from importlib.metadata import version as v; print(*(f'{p} {v(p)}' for p in %r), sep=', ')"
PINNED = ["langgraph", "langgraph-checkpoint-sqlite", "dbos"]
COMPARED_AT, STEP_MS, PARKED_RUNS = 16, 100, 1000


@dataclass(frozen=True)
class Engine:
    name: str
    script: str
    kind: str
    bar: float | None = None


LIKE_FOR_LIKE = Engine("trimtab, no facts", "on_trimtab.py", "bare")
WITH_FACTS = Engine("trimtab, 25 facts a workflow", "on_trimtab.py", "facts")
ENGINES = [
    LIKE_FOR_LIKE,
    WITH_FACTS,
    Engine("LangGraph, WAL + FULL", "on_langgraph.py", "full", bar=20),
    Engine("LangGraph, synchronous=OFF (not durable)", "on_langgraph.py", "off"),
    Engine("DBOS, WAL + FULL", "on_dbos.py", "wal", bar=40),
]
Figures = dict[str, float]
Measured = dict[tuple[Engine, int], list[Figures]]


@dataclass(frozen=True)
class Bar:
    what: str
    figure: str
    bar: str
    met: bool


def main() -> int:
    asked = arguments()
    if not asked.peers.exists():
        print("the peers are not installed\nhint: make bench-setup", file=sys.stderr)
        return 2
    print_machine(asked.peers)
    measured = compare(asked)
    print_table(measured, asked.concurrency)
    bars = [*ratio_bars(measured), *start_bars(asked), *parked_bars(), worker_bar()]
    print("\n| bar | measured | bar | |\n|---|--:|--:|---|")
    for bar in bars:
        print(f"| {bar.what} | {bar.figure} | {bar.bar} | {'met' if bar.met else '**missed**'} |")
    return 0 if all(bar.met for bar in bars) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="about how long one measurement takes")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured; medians are shown")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 128])
    parser.add_argument("--peers", type=Path, default=PEERS, help="the Python that has LangGraph and DBOS")
    return parser.parse_args()


# -- throughput ----------------------------------------------------------------------------------------------------


def compare(asked: argparse.Namespace) -> Measured:
    measured: Measured = {}
    for repeat in range(asked.repeats):
        for concurrency in asked.concurrency:
            for engine in ENGINES:
                say(f"{repeat + 1}/{asked.repeats}: {engine.name} at {concurrency}")
                python = sys.executable if engine.script == "on_trimtab.py" else str(asked.peers)
                figures = run(python, engine.script, engine.kind, concurrency, asked.seconds)
                measured.setdefault((engine, concurrency), []).append(figures)
    return measured


def median(values: Iterable[float]) -> float:
    """As the standard library's, whose name `bench/statistics.py` hides from scripts in this folder."""
    ranked = sorted(values)
    return (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2


def ratio(measured: Measured, ours: Engine, theirs: Engine, concurrency: int) -> float:
    """How many times as fast `ours` is: the median over the repeats, each against its neighbour in time."""
    pairs = zip(measured[ours, concurrency], measured[theirs, concurrency], strict=True)
    return median(a["per_second"] / b["per_second"] for a, b in pairs)


def print_table(measured: Measured, concurrencies: list[int]) -> None:
    print(
        "| engine | at once | workflows/s (least to most) | CPU ms a workflow | trimtab, no facts | trimtab, with facts |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for engine in ENGINES:
        for concurrency in concurrencies:
            figures = measured[engine, concurrency]
            rates = sorted(f["per_second"] for f in figures)
            bare, facts = (ratio(measured, ours, engine, concurrency) for ours in (LIKE_FOR_LIKE, WITH_FACTS))
            print(
                f"| {engine.name} | {concurrency} | {median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"
                f" | {median(f['cpu_ms'] for f in figures):.2f} | {bare:.1f}x | {facts:.1f}x |"
            )


def ratio_bars(measured: Measured) -> Iterator[Bar]:
    for engine in ENGINES:
        if engine.bar and (engine, COMPARED_AT) in measured:
            found = ratio(measured, LIKE_FOR_LIKE, engine, COMPARED_AT)
            what = f"as fast as {engine.name}, at {COMPARED_AT}, like for like"
            yield Bar(what, f"{found:.1f}x", f"at least {engine.bar:.0f}x", found >= engine.bar)


# -- start latency and memory --------------------------------------------------------------------------------------


def start_bars(asked: argparse.Namespace) -> list[Bar]:
    bars: list[Bar] = []
    print("\n| from `accept` to the body's first line | at once | starts | p50 ms | p95 ms |\n|---|--:|--:|--:|--:|")
    for step_ms in (STEP_MS, 0):
        load = f"steps of {step_ms} ms" if step_ms else "steps of no time: the engine is full"
        for concurrency in asked.concurrency:
            say(f"start latency, {load}, at {concurrency}")
            f = run(sys.executable, "start_latency.py", concurrency, 2 * asked.seconds, step_ms)
            print(f"| {load} | {concurrency} | {f['starts']} | {f['p50_ms']:.1f} | {f['p95_ms']:.1f} |")
            if step_ms:
                what = f"p50 start latency at {concurrency}, {load}"
                bars.append(Bar(what, f"{f['p50_ms']:.1f} ms", "under 5 ms", f["p50_ms"] < 5))
    return bars


def parked_bars() -> list[Bar]:
    say(f"{PARKED_RUNS} parked runs")
    with TemporaryDirectory(prefix="bench-engine-") as folder:
        none, store = Path(folder) / "none.db", Path(folder) / "parked.db"
        run(sys.executable, "parked.py", "park", none, 0)
        empty = run(sys.executable, "parked.py", "restart", none)["after"]
        parked = run(sys.executable, "parked.py", "park", store, PARKED_RUNS)
        restarted = run(sys.executable, "parked.py", "restart", store)["after"]
        finished = run(sys.executable, "parked.py", "finish", store)["finished"]
    added = {"parked": parked["after"] - parked["before"], "parked and the process restarted": restarted - empty}
    bars = [
        Bar(f"memory {PARKED_RUNS:,} runs add: {what}", f"{mb:.1f} MB", "under 20 MB", mb < 20)
        for what, mb in added.items()
    ]
    return [*bars, Bar("of them finished once approved", f"{finished:,}", f"{PARKED_RUNS:,}", finished == PARKED_RUNS)]


def worker_bar() -> Bar:
    say("a whole worker")
    used = run(sys.executable, "worker.py")
    what = f"memory of a worker after {used['runs']} runs on the simulator"
    return Bar(what, f"{used['after']:.0f} MB", "under 150 MB", used["after"] < 150)


# -- processes -----------------------------------------------------------------------------------------------------


def run(python: str, script: str, *args: object) -> Figures:
    """Run one script and read the line it prints."""
    told = subprocess.run(
        [python, str(HERE / script), *map(str, args)],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "LANGSMITH_TRACING": "false"},
    )
    return json.loads(told.stdout)


def print_machine(peers: Path) -> None:
    versions = subprocess.run([str(peers), "-c", VERSIONS % PINNED], capture_output=True, text=True, check=True).stdout
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start, Python {platform.python_version()}, ",
        end="",
    )
    print(f"SQLite {sqlite3.sqlite_version}, {single_commits():,.0f} single-row commits/s (WAL, FULL); {versions}")


def single_commits() -> float:
    """What the disk gives to somebody who commits one row at a time: where this is huge, the folder is no disk."""
    with TemporaryDirectory(prefix="bench-engine-") as folder, closing(sqlite3.connect(f"{folder}/x.db")) as connection:
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a)")
        began = time.perf_counter()
        for n in range(1000):
            connection.execute("INSERT INTO t VALUES (?)", (n,))
            connection.commit()
        return 1000 / (time.perf_counter() - began)


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
