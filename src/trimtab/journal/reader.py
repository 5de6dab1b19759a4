"""Reads the journal, also while another process writes it: nothing here takes a lock that a writer would wait for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from trimtab.core.errors import StoreBrokenError, UnknownRunError, UsageError
from trimtab.core.outcome import Status
from trimtab.core.records import (
    DecisionFact,
    ExposureFact,
    Fact,
    ModelCallFact,
    OutcomeFact,
    PlanFact,
    RunFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.journal.columns import TABLES, encodable, kept, names
from trimtab.journal.detail import subtask_lines
from trimtab.journal.lines import RUNNING, HeldCall, RunDetail, RunLine
from trimtab.journal.migrate import HAS_JOURNAL, pending, shipped

F = TypeVar("F", bound=Fact)

# Tried in this order; what one finds ends the search.
_FINDERS = (
    "run_id = :given",
    "key = :given",
    "run_id >= :given AND run_id < :given || char(0x10FFFF)",
    "key >= :given AND key < :given || char(0x10FFFF)",
)
_FIND = "SELECT run_id, workflow FROM run WHERE {where} ORDER BY accepted_at DESC LIMIT 4"
_CONDITIONS = {
    "workflow": "r.workflow = :workflow",
    "status": "coalesce(o.status, 'running') = :status",
    "run_id": "r.run_id = :run_id",
}


class Journal:
    """The journal of one store, read-only. Use it as a context manager, or `close` it.

    Raises:
        UsageError: there is no file at `path`.
        StoreBrokenError: what is there cannot be read as a journal of this trimtab.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UsageError(
                f"{str(path)!r}: no such store",
                hint="the application makes it when it first starts; `store` under [app] of trimtab.toml names it",
            )
        with self._explained():
            self._connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            try:
                self._connection.create_aggregate("exact_sum", 1, _ExactSum)  # pyright: ignore[reportArgumentType] - a sum may be None
                self._check()
            except BaseException:
                self._connection.close()
                raise

    def runs(self, limit: int, status: str | None = None, workflow: str | None = None) -> list[RunLine]:
        """Give the newest runs, newest first; `status` is one of `core.outcome.Status` or `running`."""
        if status not in (None, RUNNING, *Status):
            expected = ", ".join(map(repr, [RUNNING, *map(str, Status)]))
            raise UsageError(f"no run has status {status!r}", hint=f"expected one of {expected}")
        with self._explained():
            return self._lines(
                limit=max(limit, 0), status=status and str(status), workflow=workflow and encodable(workflow)
            )

    def run(self, given: str) -> RunDetail:
        """Give one run by its id, its key, or the start of either. Raises UnknownRunError where that is none or several."""
        # One transaction: what is read first and last is of one moment.
        with self._explained(), self._one_moment():
            run_id = self._find(encodable(given))
            (line,) = self._lines(limit=1, run_id=run_id)
            (accepted,) = self._facts(RunFact, run_id)
            plans = self._facts(PlanFact, run_id, "number")
            model_calls = self._facts(ModelCallFact, run_id)
            tool_calls = self._facts(ToolCallFact, run_id)
            return RunDetail(
                line=line,
                request=accepted.request,
                exposure=next(iter(self._facts(ExposureFact, run_id)), None),
                plans=plans,
                subtasks=subtask_lines(plans, self._facts(SubtaskFact, run_id), model_calls, tool_calls),
                own_calls=tuple(call for call in model_calls if call.subtask is None),
                tool_calls=tool_calls,
                outcomes=self._facts(OutcomeFact, run_id, "final, number"),
            )

    def held(self, *, every: bool = False) -> list[HeldCall]:
        """Give the calls that wait for a person, oldest first; `every`: those decided or past deciding, too."""
        with self._explained():
            calls = [_held(row) for row in self._connection.execute(_query("held"))]
        return [call for call in calls if call.open or every]

    def held_call(self, given: str) -> HeldCall:
        """Give one held call by its key or the start of it. Raises UsageError where that is none or several."""
        found = [call for call in self.held(every=True) if given and call.key.startswith(given)]
        if len(found) == 1:
            return found[0]
        several = ", ".join(call.key for call in found)
        what = (
            f"{given!r} may be any of {several}"
            if found
            else f"no held call has the key {given!r}, or one that starts so"
        )
        raise UsageError(f"{str(self.path)!r}: {what}", hint="trimtab approvals list")

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the file go."""
        self.close()

    def _check(self) -> None:
        if not self._connection.execute(HAS_JOURNAL).fetchone()[0]:
            hint = "name the store of a trimtab application; it is made when the application first starts"
            raise StoreBrokenError(f"{str(self.path)!r} is no trimtab store", hint=hint)
        if late := pending(self._connection, shipped()):
            raise StoreBrokenError(
                f"{str(self.path)!r} was written by an older trimtab: it lacks {late[0].name!r}",
                hint="start the application once with this trimtab, which brings the file up to date",
            )

    def _lines(self, **given: Any) -> list[RunLine]:
        conditions = [condition for name, condition in _CONDITIONS.items() if given.get(name) is not None]
        sql = _query("runs").replace("{where}", " AND ".join(conditions) or "TRUE")
        return [_line(row) for row in self._connection.execute(sql, given)]

    def _facts(self, kind: type[F], run_id: str, order: str = "at, rowid") -> tuple[F, ...]:
        by = "rowid" if kind in (RunFact, ExposureFact) else order
        sql = f"SELECT {', '.join(names(kind))} FROM {TABLES[kind].name} WHERE run_id = ? ORDER BY {by}"  # noqa: S608 - names of ours
        readers = [column.read or _as_it_is for column in kept(kind)]
        rows = self._connection.execute(sql, (run_id,))
        return tuple(kind(*(read(value) for read, value in zip(readers, row, strict=True))) for row in rows)

    def _find(self, given: str) -> str:
        for where in _FINDERS if given else ():
            found = self._connection.execute(_FIND.replace("{where}", where), {"given": given}).fetchall()
            if len(found) > 1:
                listed = ", ".join(f"{run_id!r} ({workflow})" for run_id, workflow in found[:3])
                more = ", ..." if found[3:] else ""
                raise UnknownRunError(f"{given!r} may be any of {listed}{more}", hint="give the whole id")
            if found:
                return found[0][0]
        raise UnknownRunError(
            f"no run of {str(self.path)!r} has the id or key {given!r}, or one that starts so",
            hint="list the runs to see their ids and keys",
        )

    @contextmanager
    def _one_moment(self) -> Generator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            # A file that turned out broken may have ended it already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, ArithmeticError) as error:
            raise StoreBrokenError(
                f"{str(self.path)!r} cannot be read: {error}",
                hint="see that it is a trimtab store, that it and its folder can be read, and that it is not damaged",
            ) from error


class _ExactSum:
    """`sum()` over decimal text, without the floats of SQLite's own; NULL as soon as one amount is."""

    def __init__(self) -> None:
        self.total: Decimal | None = Decimal(0)

    def step(self, amount: str | None) -> None:
        self.total = None if amount is None or self.total is None else self.total + Decimal(amount)

    def finalize(self) -> str | None:
        return None if self.total is None else str(self.total)


@cache
def _query(name: str) -> str:
    return (files("trimtab.journal") / "queries" / f"{name}.sql").read_text("utf-8")


def _held(row: tuple[Any, ...]) -> HeldCall:
    (
        key,
        run_id,
        workflow,
        run_key,
        subtask,
        role,
        tool,
        effect,
        arguments,
        reason,
        since,
        approved,
        by,
        at,
        still_open,
    ) = row
    return HeldCall(
        key=key,
        run_id=run_id,
        workflow=workflow,
        run_key=run_key,
        subtask=subtask,
        role=role,
        tool=tool,
        effect=effect,
        arguments=json.loads(arguments),
        reason=reason,
        since=datetime.fromisoformat(since),
        open=bool(still_open),
        decision=None if by is None else DecisionFact(run_id, key, bool(approved), by, datetime.fromisoformat(at)),
    )


def _as_it_is(value: Any) -> Any:
    return value


def _line(row: tuple[Any, ...]) -> RunLine:
    (
        run_id,
        key,
        workflow,
        environment,
        status,
        final,
        accepted,
        ended,
        done,
        total,
        calls,
        retries,
        tokens,
        cost,
        fake,
    ) = row
    return RunLine(
        run_id=run_id,
        key=key,
        workflow=workflow,
        environment=environment,
        status=status,
        final=bool(final),
        accepted_at=datetime.fromisoformat(accepted),
        ended_at=None if ended is None else datetime.fromisoformat(ended),
        subtasks_done=done,
        subtasks_total=total,
        model_calls=calls,
        retries=retries,
        tokens=tokens,
        cost=None if cost is None else Decimal(cost),
        simulated=bool(fake),
    )
