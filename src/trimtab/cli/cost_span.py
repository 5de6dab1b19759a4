"""How many days recorded runs stand for: what a mean day is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trimtab.journal.reader import Journal

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """`runs` that were accepted within so many `days`, the `first` of them when, and what to know of that time."""

    runs: int
    first: datetime
    days: float
    warnings: tuple[str, ...]


def span(journal: Journal, since: datetime, environment: str | None) -> Span | None:
    """Measure the time from `since` on; None where no run was accepted in it.

    Where there were runs before, the store tells of all of that time, the days without a run at its beginning too. Else the
    record begins with its first run, and is taken for a day where it is shorter.
    """
    runs, first = journal.runs_since(since, environment)
    if first is None:
        return None
    _, ever = journal.runs_since(None, environment)
    now = datetime.now(UTC)
    if ever is not None and ever < since:
        days = (now - since) / _DAY
        return Span(
            runs, first, days, ("a day is taken to go on like the hours that were asked for",) if days < 1 else ()
        )
    if now - first >= _DAY:
        return Span(runs, first, (now - first) / _DAY, ())
    return Span(runs, first, 1.0, ("less than a day is recorded: a day is taken to have had these runs and no more",))
