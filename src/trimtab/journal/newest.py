"""Reads what decides on new runs, cheaply enough for twice a second, and of a store that the next write brings up to date, too."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from trimtab.core.errors import StoreBrokenError
from trimtab.core.moves import ExperimentFact, RolloutFact
from trimtab.journal import experiments, rollouts

_THERE = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('experiment', 'rollout')"


def newest(store: Path) -> tuple[Sequence[ExperimentFact], Sequence[RolloutFact]]:
    """Give the newest move of every experiment and rollout of a store; none where there is no store yet.

    Raises StoreBrokenError where it cannot be read.
    """
    if not store.exists():
        return (), ()
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            there = {name for (name,) in connection.execute(_THERE)}
            return (
                experiments.newest(connection) if "experiment" in there else (),
                rollouts.newest(connection) if "rollout" in there else (),
            )
    except (sqlite3.Error, ValueError) as error:
        raise StoreBrokenError(
            f"{str(store)!r} cannot be read: {error}",
            hint="see that it is a trimtab store, that it and its folder can be read, and that it is not damaged",
        ) from error
