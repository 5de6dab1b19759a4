"""What the terminal used: tokens, dollars, iteration cycles, retries and waste, by day, model, project, session, agent or branch.

`read` asks the index and gives values; nothing is priced here. A price that is not known makes dollars unknown, never nothing: `usd` is
None, `usd_known` is what the rest came to, `unpriced` counts calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any, Literal, TypeAlias, get_args

from trimtab.core.usage import Usage
from trimtab.terminal.index_fill import PICO
from trimtab.terminal.transcripts import MAIN
from trimtab.terminal.usage_tasks import LOST, Iteration, Task, add_reworks, tasks

By: TypeAlias = Literal["day", "model", "project", "session", "agent", "branch"]
BY: tuple[By, ...] = get_args(By)
_WITHIN = "AND at >= :since AND at < :until GROUP BY 1 ORDER BY count(*) DESC"
_DAY = "date(at / 1000, 'unixepoch')"
_Rows: TypeAlias = Iterable[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on and before `until`, in milliseconds since 1970."""

    since: int
    until: int

    @classmethod
    def of(cls, since: datetime, until: datetime) -> Span:
        """Between two times."""
        return cls(int(since.timestamp() * 1000), int(until.timestamp() * 1000))


@dataclass(slots=True)
class Group:
    """What was used by one day, model, project, session, agent or branch, or in all.

    turns:      answers to sessions themselves, not to subagents.
    lost:       dollars of iterations that did not end with an answer; `lost_by` says how they ended.
    unwritten:  those of the retries that no row of the transcript tells.
    """

    name: str
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    pico: int = 0
    unpriced: int = 0
    sessions: set[str] = field(default_factory=set[str])
    tasks: int = 0
    prompts: int = 0
    turns: int = 0
    tools: int = 0
    tool_errors: int = 0
    reworks: int = 0
    retries: int = 0
    unwritten: int = 0
    fallbacks: int = 0
    mismatches: int = 0
    lost_pico: int = 0
    lost_by: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def usd_known(self) -> Decimal:
        """Dollars of the calls whose price is known."""
        return _dollars(self.pico)

    @property
    def usd(self) -> Decimal | None:
        """Dollars; None where the price of a call is not known."""
        return None if self.unpriced else self.usd_known

    @property
    def lost(self) -> Decimal:
        """Dollars, of known prices, that came to nothing."""
        return _dollars(self.lost_pico)

    @property
    def lost_dollars(self) -> Mapping[str, Decimal]:
        """What came to nothing, by how it ended."""
        return {ending: _dollars(pico) for ending, pico in self.lost_by.items()}

    @property
    def lost_share(self) -> float | None:
        """Their share; None where nothing was spent."""
        return self.lost_pico / self.pico if self.pico else None

    @property
    def turns_per_task(self) -> float | None:
        """Answers a task took."""
        return self.turns / self.tasks if self.tasks else None


@dataclass(frozen=True, slots=True)
class Told:
    """Calls that only telemetry tells of: shown apart, never added."""

    calls: int = 0
    usd: Decimal | None = Decimal(0)
    unpriced: int = 0
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """Everything asked for. `unpriced`, `fallbacks` and `mismatches` count by model or by pair of models."""

    by: By
    groups: Sequence[Group]
    total: Group
    tasks: Sequence[Task]
    unpriced: Mapping[str, int]
    fallbacks: Mapping[str, int]
    mismatches: Mapping[str, int]
    versions: Mapping[str, int]
    told: Told


def read(connection: sqlite3.Connection, span: Span, by: By, now: datetime) -> Used:
    """Sum up what the index has of a span; `now` tells sessions at work from those that were left."""
    during = {"since": span.since, "until": span.until}
    now_ms = int(now.timestamp() * 1000)
    calls = connection.execute(_query("calls").replace("{group}", _DAY if by == "day" else by), during).fetchall()
    # Events have no model of their own: they are those of the model that their iteration ran on.
    happened = "''" if by == "model" else _DAY if by == "day" else by
    events = connection.execute(_query("events").replace("{group}", happened), during).fetchall()
    iterations = _iterations(calls, events, connection.execute(_query("lasts"), during))
    add_reworks(iterations, connection.execute(_query("edits"), during))
    found = tasks(iterations.values())
    groups = _Groups(by, iterations, now_ms)
    groups.add_calls(calls)
    groups.add_events(events)
    groups.add_tasks(found)
    total = groups.total()
    named = sorted(groups.found.values(), key=lambda g: g.name if by == "day" else (-g.pico, g.name))  # pyright: ignore[reportUnknownLambdaType]

    def counted(query: str) -> dict[str, int]:
        return dict(connection.execute(query, during).fetchall())

    return Used(
        by=by,
        groups=named,
        total=total,
        tasks=found,
        unpriced=counted(f"SELECT model, count(*) FROM call WHERE priced = 2 {_WITHIN}"),  # noqa: S608 - constants of this file
        fallbacks=counted(f"SELECT detail, count(*) FROM event WHERE kind = 'fallback' {_WITHIN}"),  # noqa: S608 - constants of this file
        mismatches=counted(f"SELECT requested || ' -> ' || model, count(*) FROM call WHERE mismatch {_WITHIN}"),  # noqa: S608 - constants of this file
        versions=counted(
            f"SELECT version, count(*) FROM call WHERE true {_WITHIN.replace('count(*) DESC', 'max(at)')}"  # noqa: S608 - as above
        ),
        told=_told(connection.execute(_query("told"), during)),
    )


def _iterations(calls: _Rows, events: _Rows, lasts: _Rows) -> dict[str, Iteration]:
    found: dict[str, Iteration] = {}
    for row in calls:
        iteration = found.setdefault(row[1], Iteration(row[1], row[2]))
        iteration.turns += row[4]
        iteration.pico += row[11]
        iteration.unpriced += row[12]
    for _, key, kind, count, last, session, project, branch, first in events:
        iteration = found.setdefault(key, Iteration(key, session))
        iteration.project, iteration.branch = iteration.project or project, iteration.branch or branch
        iteration.events[kind] = iteration.events.get(kind, 0) + count
        iteration.latest[kind] = max(iteration.latest.get(kind, 0), last)
        iteration.seen(first)
        iteration.seen(last)
    for key, at, session, project, branch, model, version, stop in lasts:
        iteration = found[key]
        iteration.session, iteration.project, iteration.branch = session, project, branch
        iteration.model, iteration.version, iteration.stop, iteration.answered_at = model, version, stop, at
        iteration.seen(at)
    return found


@dataclass(slots=True)
class _Groups:
    by: By
    iterations: Mapping[str, Iteration]
    now: int
    found: dict[str, Group] = field(default_factory=dict[str, Group])

    def of(self, name: str) -> Group:
        group = self.found.get(name)
        if group is None:
            group = self.found[name] = Group(name)
        return group

    def add_calls(self, calls: _Rows) -> None:
        for name, key, session, count, main, mismatch, *tokens, pico, unpriced in calls:
            group = self.of(name)
            group.calls += count
            group.turns += main
            group.mismatches += mismatch
            group.usage += Usage(*tokens)
            group.pico += pico
            group.unpriced += unpriced
            group.sessions.add(session)
            ending = self.iterations[key].ending(self.now)
            if ending in LOST:
                group.lost_pico += pico
                group.lost_by[ending] = group.lost_by.get(ending, 0) + pico

    def add_events(self, events: _Rows) -> None:
        for name, key, kind, count, *_ in events:
            group = self.of(self.iterations[key].model if self.by == "model" else name)
            match kind:
                case "prompt":
                    group.prompts += count
                case "tool" | "edit":
                    group.tools += count
                case "tool_error":
                    group.tool_errors += count
                case "fallback":
                    group.fallbacks += count
                case _:
                    pass

    def add_tasks(self, found: Sequence[Task]) -> None:
        for iteration in self.iterations.values():
            group = self.of(self._name(iteration))
            group.reworks += iteration.reworks
            group.retries += iteration.retries
            group.unwritten += iteration.unwritten
        for task in found:
            self.of(self._name(task.first)).tasks += 1

    def _name(self, iteration: Iteration) -> str:
        match self.by:
            case "day":
                return f"{datetime.fromtimestamp(iteration.began / 1000, UTC):%Y-%m-%d}"
            case "agent":
                return MAIN
            case "model" | "project" | "session" | "branch":
                return getattr(iteration, self.by)

    def total(self) -> Group:
        total = Group("total")
        for group in self.found.values():
            for name in _SUMMED:
                setattr(total, name, getattr(total, name) + getattr(group, name))
            total.sessions |= group.sessions
            for ending, pico in group.lost_by.items():
                total.lost_by[ending] = total.lost_by.get(ending, 0) + pico
        return total


_SUMMED = (
    "calls", "usage", "pico", "unpriced", "tasks", "prompts", "turns", "tools", "tool_errors", "reworks", "retries",
    "unwritten", "fallbacks", "mismatches", "lost_pico",
)  # fmt: skip


def _told(rows: _Rows) -> Told:
    calls = pico = unknown = 0
    sessions: set[str] = set()
    for _, session, count, usd, unpriced in rows:
        calls += count
        pico += count * usd
        unknown += count * unpriced
        sessions.add(session)
    return Told(calls, None if unknown else _dollars(pico), unknown, len(sessions))


def _dollars(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-PICO)


def _query(name: str) -> str:
    return (files("trimtab.terminal") / "queries" / f"{name}.sql").read_text("utf-8")
