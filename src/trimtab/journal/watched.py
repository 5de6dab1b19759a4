"""Reads what the watch looks at: one environment by clock hour, and what is counted of the last day. Times are UTC."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from trimtab.core.same_model import other_model
from trimtab.core.watched import Answered, SettledFact, SpentFact, Standing, Unpriced
from trimtab.journal.columns import time_text
from trimtab.journal.rows import query, select_facts

F = TypeVar("F", SpentFact, SettledFact)
_MINE = "AND (SELECT environment FROM run AS r WHERE r.run_id = {table}.run_id) = :environment"
_OWN = "AND environment = :environment"
_ENVIRONMENTS = "SELECT DISTINCT environment FROM run ORDER BY 1"
_LAST = "SELECT accepted_at FROM run WHERE environment = ? ORDER BY accepted_at DESC LIMIT 1"


class WatchedReader:
    """Reads one environment of an open journal; `alone` says that the store has no other, which spares a look-up a call."""

    def __init__(self, connection: sqlite3.Connection, environment: str, *, alone: bool) -> None:
        self._connection = connection
        self.environment = environment
        self._alone = alone

    def spent(self, since: datetime, until: datetime) -> list[SpentFact]:
        """Add up the calls and the accepted runs of a time by clock hour, those without anything left out."""
        runs: dict[str, int] = dict(self._rows("watch_runs", "", since, until))
        sums = {hour: rest for hour, *rest in self._rows("watch_calls", "model_call", since, until)}
        found: list[SpentFact] = []
        for hour in sorted({*runs, *sums}):
            # An hour may have accepted runs and called no model.
            calls, usd, usd_squares, tokens, squares, unpriced, again, failed, fake = sums.get(hour, [0] * 9)
            found.append(
                SpentFact(
                    environment=self.environment,
                    at=_hour(hour),
                    calls=calls,
                    usd=usd,
                    usd_squares=usd_squares,
                    tokens=tokens,
                    token_squares=squares,
                    unpriced=unpriced,
                    again=again,
                    failed=failed,
                    runs=runs.get(hour, 0),
                    simulated=bool(fake),
                )
            )
        return found

    def arrivals(self, since: datetime, until: datetime) -> dict[int, int]:
        """Count the runs accepted in each tenth minute of the clock, numbered from 1970."""
        return dict(self._rows("watch_arrivals", "run", since, until))

    def settled(self, since: datetime, until: datetime) -> list[SettledFact]:
        """Give the runs that first stood still in each clock hour."""
        rows = self._rows("watch_settled", "outcome", since, until)
        return [SettledFact(self.environment, _hour(hour), *rest) for hour, *rest in sorted(rows)]

    def kept(self, kind: type[F], since: datetime, until: datetime) -> tuple[F, ...]:
        """Give the hours of a time that were kept, `SpentFact` or `SettledFact`, oldest first."""
        given = {"environment": self.environment, "since": time_text(since), "until": time_text(until)}
        where = "environment = :environment AND at >= :since AND at < :until ORDER BY at"
        return select_facts(self._connection, kind, where, given)

    def answered(self, since: datetime, until: datetime) -> list[Answered]:
        """Give the answers that came from another model than was asked."""
        rows = self._rows("watch_answered", "model_call", since, until)
        return [
            Answered(requested, response, calls, tuple(sorted(roles.split(","))), run_id)
            for requested, response, roles, calls, run_id in rows
            if other_model(requested, response)
        ]

    def unpriced(self, since: datetime, until: datetime) -> list[Unpriced]:
        """Give the models whose price was not known."""
        return [Unpriced(*row) for row in self._rows("watch_unpriced", "model_call", since, until)]

    def standing(self) -> list[Standing]:
        """Give the runs that wait for somebody, by status."""
        rows = self._connection.execute(query("watch_standing"), {"environment": self.environment})
        return [Standing(status, count, run_id, datetime.fromisoformat(at)) for status, count, run_id, at in rows]

    def traffic_at(self) -> datetime | None:
        """Say when the last run was accepted."""
        row = self._connection.execute(_LAST, (self.environment,)).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def _rows(self, name: str, table: str, since: datetime, until: datetime) -> Sequence[tuple[Any, ...]]:
        mine = "" if self._alone else _OWN if table == "run" else _MINE.replace("{table}", table)
        sql = query(name).replace("{mine}", mine)
        given = {"since": time_text(since), "until": time_text(until), "environment": self.environment}
        return self._connection.execute(sql, given).fetchall()


def environments(connection: sqlite3.Connection) -> list[str]:
    """Give the environments with runs, of all times: hours are kept of those only that somebody watched."""
    return [name for (name,) in connection.execute(_ENVIRONMENTS)]


def _hour(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H").replace(tzinfo=UTC)


def whole_hour(at: datetime) -> datetime:
    """Give the beginning of the clock hour that `at` is in."""
    at = at.astimezone(UTC)
    return at - timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
