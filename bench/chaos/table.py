"""What every command of this folder shares: the checkout's tests on the path, the table, the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]
os.chdir(ROOT)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print Markdown; the first column is text, the others are figures."""
    print(f"| {' | '.join(heads)} |")
    print(f"|---|{'--:|' * (len(heads) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(_shown, row))} |", flush=True)


def _shown(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
