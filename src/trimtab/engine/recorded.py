"""Reads what a run's steps came to, from a file that another process may be working on; changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from trimtab.core.values import Json
from trimtab.engine.store import explained, load_steps


def recorded_steps(path: Path, run_id: str) -> dict[str, Json]:
    """Give the result of every finished step of a run, by name; none where there is no such run. Raises StoreBrokenError."""
    with (
        explained(path),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection,
    ):
        row = connection.execute("SELECT seq FROM engine_run WHERE run_id = ?", (run_id,)).fetchone()
        return load_steps(connection, row[0]) if row else {}
