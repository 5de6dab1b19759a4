"""What a price costs: CPU from an empty process to the first one, each one after it, and a look at a million prompts.

    python bench/prices.py

Exits with 1 where the first price takes 60 ms of CPU or more beyond Python's own start, or a later one 20 us.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
import timeit
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from trimtab.core.records import ModelCallFact
from trimtab.core.usage import Usage
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.models.catalogue import Catalogue

DAY = date(2026, 11, 23)
MODELS = ("anthropic:claude-haiku-4-5", "anthropic:claude-haiku-5-5", "anthropic:claude-sonnet-4-6")
STARTS = {
    "nothing": "pass",
    "the first price": (
        "import datetime; from trimtab.core.usage import Usage; from trimtab.models.catalogue import Catalogue;"
        f"assert Catalogue().cost({MODELS[0]!r}, Usage(1), datetime.date(2026, 11, 23))"
    ),
    "importing genai-prices": "import genai_prices",
}
ROWS = 1_000_000


def cpu(code: str) -> float:
    """Give the milliseconds of CPU of a process, the least of seven."""
    timed = f"{code}\nimport time; print(time.process_time() * 1000)"
    runs = (subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True) for _ in range(7))
    return min(float(run.stdout) for run in runs)


def main() -> int:
    took = {name: cpu(code) for name, code in STARTS.items()}
    for name, ms in took.items():
        print(f"{name:24} {ms:7.1f} ms of CPU")
    first = took["the first price"] - took["nothing"]
    print(f"{'beyond the start':24} {first:7.1f} ms of CPU, of at most 60")
    catalogue, usage = Catalogue(), Usage(1000, 500, 2000, 30, 40)
    each = min(timeit.repeat(lambda: catalogue.cost(MODELS[1], usage, DAY), number=20_000, repeat=5)) / 20_000 * 1e6
    print(f"{'each price after that':24} {each:7.1f} us, of at most 20")
    with tempfile.TemporaryDirectory() as folder:
        short, long = look(Path(folder) / "store.db")
    print(
        f"{'a look at the prompts':24} {short:7.2f} s of CPU for {ROWS:,} calls of which none is long, {long:.2f} s where all are"
    )
    return int(first >= 60 or each >= 20)


def look(path: Path) -> tuple[float, float]:
    connection = sqlite3.connect(path, isolation_level=None)
    SqliteFacts().migrate(connection)
    now = datetime.now(UTC)
    facts = SqliteFacts()
    for begin in range(0, ROWS, 50_000):
        calls = [
            ModelCallFact(
                f"run-{n // 11}", f"step/{n}", f"role-{n % 5}", None, 1, MODELS[n % 3], None, None, n * 7919 % 120_000, 9, 0, 0,
                0, "end_turn", "", "", 1.0, None, simulated=False, at=now - timedelta(seconds=n),
            )
            for n in range(begin, begin + 50_000)
        ]  # fmt: skip
        connection.execute("BEGIN")
        facts.write(connection, calls)
        connection.execute("COMMIT")
    connection.close()
    with Journal(path) as journal:
        began = time.process_time()
        assert not journal.prompt_lengths(now - timedelta(days=30), 200_000)
        between = time.process_time()
        assert len(journal.prompt_lengths(now - timedelta(days=30))) == 15
        return between - began, time.process_time() - between


if __name__ == "__main__":
    sys.exit(main())
