"""What calls cost, added up exactly by whatever they have in common, with what of it came to nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Context, Decimal
from functools import reduce
from itertools import pairwise
from typing import Any, TypeAlias

from trimtab.core.usage import Usage
from trimtab.journal.migrate import statements
from trimtab.journal.rows import query

Label: TypeAlias = tuple[str, ...]
BY = ("role", "model", "arm", "workflow", "outcome", "day", "host")

# What a run has one of; the rest are columns of `spent_on`, and the day of `spend_line`.
_OF_RUNS: Mapping[str, str] = {"workflow": "r.workflow", "outcome": "rtrim(r.status)", "arm": "r.arms"}
_SUCCEEDED, _FAILED, _GIVEN_UP = "123"
_REAL, _SIMULATED = "rs"
_EXACT = Context(prec=60)
_DAYS = {"since": ">=", "until": "<="}
_SHARE = 10_000  # runs: fewer are not worth a thread
_LAST = "SELECT coalesce(max(number), 0) FROM spender"
_DAY = "substr(g.day, 1, 4) || '-' || substr(g.day, 5, 2) || '-' || substr(g.day, 7)"
_TABLES = ("own", "stood", "named")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a group of calls came to. Dollars are exact, and without the `unpriced` calls whose dollars are not known.

    runs, succeeded: the runs that made these calls, and those of them with decomposition success (`core.measures.RunMeasure`).
    failed, retried, abandoned: dollars that came to nothing, each dollar in one of them at most: of runs that failed; in other runs, on
        attempts whose answer was not used; on runs that were cancelled and subtasks that another plan replaced.
    cache_saved: what the same prompts would have cost uncached, less what they cost; without the `saved_unknown` calls that
        used a cache and were written when this was not.
    """

    runs: int = 0
    succeeded: int = 0
    calls: int = 0
    unpriced: int = 0
    usd: Decimal = Decimal(0)
    failed: Decimal = Decimal(0)
    retried: Decimal = Decimal(0)
    abandoned: Decimal = Decimal(0)
    saved_unknown: int = 0
    cache_saved: Decimal = Decimal(0)
    usage: Usage = field(default_factory=Usage)

    @property
    def wasted(self) -> Decimal:
        """All dollars that came to nothing."""
        return _EXACT.add(_EXACT.add(self.failed, self.retried), self.abandoned)

    @property
    def share_wasted(self) -> Decimal | None:
        """What part of the dollars came to nothing, 0 to 1 (None: there are no dollars, or not all are known)."""
        return None if self.unpriced or not self.usd else self.wasted / self.usd

    @property
    def usd_per_success(self) -> Decimal | None:
        """Dollars of all runs for each that succeeded; at least that much where calls are unpriced (None: none succeeded)."""
        return self.usd / self.succeeded if self.succeeded else None

    def __add__(self, other: Spent) -> Spent:
        """Add what is of other calls; runs are added as if no run had made calls of both."""
        return Spent(*(_add(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Costs:
    """Real calls, or simulated ones. A run in several experiments is in the group of each; `total` counts every call and run once."""

    groups: Mapping[Label, Spent]
    total: Spent


@dataclass(frozen=True, slots=True)
class Period:
    """UTC days, both included; None: without end."""

    since: date | None = None
    until: date | None = None


ALWAYS = Period()


def shares(connection: sqlite3.Connection, most: int) -> list[tuple[int, int]]:
    """Cut all runs into at most so many shares of equal size: behind which number each begins, and its last."""
    (runs,) = connection.execute(_LAST).fetchone()
    count = max(1, min(most, runs // _SHARE))
    return list(pairwise(runs * n // count for n in range(count + 1)))


def add_up(
    connection: sqlite3.Connection, by: Sequence[str], period: Period, environment: str | None, share: tuple[int, int]
) -> Added:
    """Add up the calls that a share of the runs made in a period, within a transaction, so that all is of one moment."""
    after, last = share
    given = {
        "environment": environment,
        "since": _number(period.since),
        "until": _number(period.until),
        "after": after,
        "last": last,
    }
    by_day = "day" in by
    parts = {
        "own": _label(_OF_RUNS[name] for name in by if name in _OF_RUNS),
        "on": _label(f"s.{name}" for name in by if name not in _OF_RUNS and name != "day"),
        "days": ", s.day" if by_day else "",
    }
    of_runs = "TRUE" if environment is None else "r.environment = :environment"
    for statement in statements(query("costs_runs")):
        connection.execute(_filled(statement, where=of_runs, **parts), given)

    def rows(name: str, day: str, day_shown: str, **more: object) -> Iterator[tuple[Any, ...]]:
        within = " AND ".join(f"{day} {sign} :{end}" for end, sign in _DAYS.items() if given[end]) or "TRUE"
        sql = _filled(query(name), where=within, day=_label([day_shown] if by_day else []), **parts)
        return connection.execute(sql, {**given, **more})

    added = Added(by)
    for row in rows("costs_spent", "s.day", _DAY):
        added.spent(*row)
    for row in rows("costs_unused", "CAST(replace(s.day, '-', '') AS INTEGER)", "s.day"):
        added.unused(*row)
    for kind in added.kinds if added.overlap else ():
        for row in rows("costs_counted", "s.day", "s.day", kind=kind):
            added.counted(*row)
    for name in _TABLES:
        connection.execute(f"DROP TABLE temp.{name}")
    return added


def days(connection: sqlite3.Connection) -> tuple[date | None, date | None]:
    """Give the first and the last UTC day on which a model was called."""
    first, last = connection.execute("SELECT min(at), max(at) FROM model_call").fetchone()
    return (None, None) if first is None else (date.fromisoformat(first[:10]), date.fromisoformat(last[:10]))


class Added:
    """Adds up rows by group. What was spent by runs in several experiments is a group of its own until all is in.

    overlap: whether a run may be in several groups, so that groups do not tell how many runs there are in all.
    """

    def __init__(self, by: Sequence[str]) -> None:
        self.arm = by.index("arm") if "arm" in by else None
        # Labels tell what calls have in common first, the day next, and what their runs have last.
        told = sorted(by, key=lambda name: (name in _OF_RUNS, name == "day"))
        self.overlap = any(name not in _OF_RUNS for name in by)
        self.places = [told.index(name) for name in by]
        self.groups: dict[tuple[str, Label], Spent] = {}
        self.totals = {_REAL: Spent(), _SIMULATED: Spent()}

    @property
    def kinds(self) -> set[str]:
        """Whether there are real calls, and simulated ones."""
        return {kind for kind, _ in self.groups}

    def spent(self, label: str, runs: int, calls: int, unpriced: int, *amounts: int) -> None:
        """Add a row of `costs_spent`."""
        usd, (saved_unknown, *saved), tokens = _dollars(amounts[:3]), amounts[3:7], amounts[7:]
        standing = label[-1]
        spent = Spent(
            runs=runs,
            succeeded=runs if standing == _SUCCEEDED else 0,
            calls=calls,
            unpriced=unpriced,
            usd=usd,
            failed=usd if standing == _FAILED else Decimal(0),
            abandoned=usd if standing == _GIVEN_UP else Decimal(0),
            saved_unknown=saved_unknown,
            cache_saved=_dollars(saved),
            usage=Usage(*tokens),
        )
        self._add(label, spent, replace(spent, runs=0, succeeded=0) if self.overlap else spent)

    def unused(self, label: str, *amount: int) -> None:
        """Add a row of `costs_unused`."""
        usd = _dollars(amount)
        spent = Spent(abandoned=usd) if label[-1] == "a" else Spent(retried=usd)
        self._add(label, spent, spent)

    def counted(self, label: str, runs: int) -> None:
        """Add a row of `costs_counted` to the total."""
        self.totals[label[0]] += Spent(runs=runs, succeeded=runs if label[-1] == _SUCCEEDED else 0)

    def _add(self, label: str, spent: Spent, total: Spent) -> None:
        *names, behind = label.split("\x1f")
        place = behind[0], tuple(names[n] for n in self.places)
        self.groups[place] = self.groups.get(place, Spent()) + spent
        self.totals[behind[0]] += total

    def add(self, other: Added) -> None:
        """Add what was spent by other runs."""
        for place, spent in other.groups.items():
            self.groups[place] = self.groups.get(place, Spent()) + spent
        for kind, spent in other.totals.items():
            self.totals[kind] += spent

    def costs(self, *, simulated: bool) -> Costs:
        """Give all that was added, real or simulated, by group."""
        wanted = _SIMULATED if simulated else _REAL
        groups: dict[Label, Spent] = {}
        for (kind, together), spent in self.groups.items():
            for label in self._apart(together) if kind == wanted else ():
                groups[label] = groups.get(label, Spent()) + spent
        return Costs(groups, self.totals[wanted])

    def _apart(self, together: Label) -> Iterator[Label]:
        """Give the groups that calls are in: where arms are asked for, one for each experiment of their run."""
        if self.arm is None:
            yield together
            return
        for arm in together[self.arm].split("\n"):
            yield (*together[: self.arm], arm, *together[self.arm + 1 :])


def _dollars(units: Sequence[int]) -> Decimal:
    """Put an amount together: units of 1e-8, 1e-16 and 1e-24 dollars."""
    parts = (Decimal(unit).scaleb(-8 * place, _EXACT) for place, unit in enumerate(units, 1))
    return reduce(_EXACT.add, parts)


def _add(one: Any, other: Any) -> Any:
    return _EXACT.add(one, other) if isinstance(one, Decimal) else one + other


def _label(texts: Iterable[str]) -> str:
    """Say in SQL how a label is put together of these texts."""
    return "".join(f"{text} || '\x1f' || " for text in texts) + "''"


def _filled(sql: str, **parts: str) -> str:
    """Put SQL of ours into the places that a query leaves for it."""
    return reduce(lambda filled, part: filled.replace(f"{{{part[0]}}}", part[1]), parts.items(), sql)


def _number(day: date | None) -> int | None:
    return None if day is None else int(day.strftime("%Y%m%d"))
