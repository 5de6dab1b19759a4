"""Reads what runs used, added up so far that prices can still be put on it exactly."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from trimtab.core.traffic import Traffic
from trimtab.core.usage import Usage
from trimtab.journal.columns import time_text
from trimtab.journal.rows import query

_CONDITIONS: Mapping[str, str] = {
    "since": "r.accepted_at >= :since",
    "environment": "r.environment = :environment",
}
_FIRST = "SELECT count(*), min(r.accepted_at) FROM run AS r WHERE {where}"


def traffic(
    connection: sqlite3.Connection,
    starts: Collection[int],
    *,
    by: Collection[str],
    since: datetime | None = None,
    environment: str | None = None,
    role: str | None = None,
) -> Iterator[Traffic]:
    """Give what the runs accepted from `since` on used, in the order of run ids where runs are told apart.

    `starts` are the prompt lengths above which prices change; `by` tells apart what it names of `run` and `role`.
    """
    where, given = _where(since, environment)
    reached = "".join(f" WHEN prompt > {int(start)} THEN {int(start)}" for start in sorted(starts, reverse=True))
    over = f"CASE{reached} ELSE 0 END" if reached else "0"
    words = {"{where}": where, "{over}": over}
    words |= {"{run}": "run_id" if "run" in by else "''", "{role}": "role" if "role" in by else "''"}
    sql = query("traffic")
    for brace, word in words.items():
        sql = sql.replace(brace, word)
    for run_id, used_by, model, above, calls, *tokens, longest, simulated in connection.execute(
        sql, {**given, "role": role}
    ):
        yield Traffic(run_id, used_by, model, above, calls, Usage(*tokens), longest, bool(simulated))


def runs_since(
    connection: sqlite3.Connection, since: datetime | None, environment: str | None
) -> tuple[int, datetime | None]:
    """Count the runs accepted from `since` on, and say when the first of them was."""
    where, given = _where(since, environment)
    count, first = connection.execute(_FIRST.replace("{where}", where), given).fetchone()
    return count, None if first is None else datetime.fromisoformat(first)


def _where(since: datetime | None, environment: str | None) -> tuple[str, Mapping[str, str | None]]:
    given = {"since": since and time_text(since), "environment": environment}
    return " AND ".join(text for name, text in _CONDITIONS.items() if given[name] is not None) or "TRUE", given
