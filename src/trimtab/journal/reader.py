"""Reads the journal, also while another process writes it: nothing here takes a lock that a writer would wait for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from trimtab.core.errors import StoreBrokenError, UnknownRunError, UsageError
from trimtab.core.measures import RunMeasure
from trimtab.core.moves import ExperimentFact
from trimtab.core.outcome import Status
from trimtab.core.records import (
    DecisionFact,
    EffectFact,
    ExposureFact,
    Fact,
    ModelCallFact,
    OutcomeFact,
    PlanFact,
    ResumeFact,
    RunFact,
    RungFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.core.traffic import Traffic
from trimtab.core.usage import PromptLengths
from trimtab.journal import balances, costs, experiments, ledger, measures, traffic
from trimtab.journal.columns import encodable, time_text
from trimtab.journal.detail import subtask_lines
from trimtab.journal.lines import RUNNING, EffectDetail, EffectLine, HalfDone, HeldCall, RunDetail, RunLine
from trimtab.journal.migrate import HAS_JOURNAL, pending, shipped
from trimtab.journal.rows import ExactSum, held_call, query, run_facts, run_line

F = TypeVar("F", bound=Fact)
T = TypeVar("T")

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
                self._connection.create_aggregate("exact_sum", 1, ExactSum)  # pyright: ignore[reportArgumentType] - a sum may be None
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
            effects = self._facts(EffectFact, run_id, "rowid")
            return RunDetail(
                line=line,
                request=accepted.request,
                exposure=next(iter(self._facts(ExposureFact, run_id)), None),
                plans=plans,
                subtasks=subtask_lines(plans, self._facts(SubtaskFact, run_id), model_calls, tool_calls),
                own_calls=tuple(call for call in model_calls if call.subtask is None),
                tool_calls=tool_calls,
                outcomes=self._facts(OutcomeFact, run_id, "final, number, rowid"),
                effects=ledger.newest(effects),
                settlements=tuple(effect for effect in effects if effect.by),
                rungs=self._facts(RungFact, run_id),
                decisions=self._facts(DecisionFact, run_id),
                resumes=self._facts(ResumeFact, run_id, "number"),
            )

    def model_calls(self, run_id: str) -> tuple[ModelCallFact, ...]:
        """Give every attempt of every model call of one run, in order."""
        with self._explained():
            return self._facts(ModelCallFact, run_id)

    def half_done(self, limit: int) -> list[HalfDone]:
        """Give the newest runs that failed, were cancelled or need a person while something they wrote stands."""
        with self._explained(), self._one_moment():
            ids = ledger.half_done_ids(self._connection, limit)
            lines = [line for run_id in ids for line in self._lines(limit=1, run_id=run_id)]
            return [ledger.half_done(self._connection, line) for line in lines]

    def effects(self, limit: int, run: str | None = None, state: str | None = None) -> list[EffectLine]:
        """Give how effects stand, the latest change first; of one run (as for `run`), in one of `lines.EFFECT_STATES`."""
        with self._explained(), self._one_moment():
            run_id = None if run is None else self._find(encodable(run))
            return ledger.effects(self._connection, limit, run_id, state)

    def effect(self, given: str) -> EffectDetail:
        """Give one effect by its key or the start of it. Raises UsageError where that is none or several."""
        with self._explained(), self._one_moment():
            return ledger.effect(self._connection, encodable(given), str(self.path))

    def balances(self, since: date) -> tuple[list[balances.Balance], list[balances.Balance]]:
        """Give the balances of budgets: by day from `since` on, and by run of the runs that have not ended."""
        with self._explained(), self._one_moment():
            return balances.by_day(self._connection, since), balances.by_run(self._connection)

    def experiments(self) -> tuple[ExperimentFact, ...]:
        """Give the newest move of every experiment that was ever started, by name."""
        with self._explained():
            return experiments.newest(self._connection)

    def moves(self, experiment: str) -> tuple[ExperimentFact, ...]:
        """Give every move of one experiment, the oldest first."""
        with self._explained():
            return experiments.moves(self._connection, encodable(experiment))

    def measures(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        environment: str | None = None,
        workflow: str | None = None,
        experiment: str | None = None,
    ) -> list[RunMeasure]:
        """Give the runs accepted from `since` until before `until` as they count, in the order they were accepted."""
        with self._explained(), self._one_moment():
            found = measures.measures(
                self._connection,
                since=since,
                until=until,
                environment=environment,
                workflow=workflow,
                experiment=experiment,
            )
            return list(found)

    def traffic(
        self,
        starts: Collection[int],
        *,
        by: Collection[str] = ("run", "role"),
        since: datetime | None = None,
        environment: str | None = None,
        role: str | None = None,
    ) -> Generator[Traffic]:
        """Give what the runs accepted from `since` on used; see `traffic.traffic`."""
        with self._explained():
            yield from traffic.traffic(self._connection, starts, by=by, since=since, environment=environment, role=role)

    def runs_since(self, since: datetime | None, environment: str | None = None) -> tuple[int, datetime | None]:
        """Count the runs accepted from `since` on, and say when the first of them was."""
        with self._explained():
            return traffic.runs_since(self._connection, since, environment)

    def costs(
        self, by: Sequence[str] = (), *, period: costs.Period = costs.ALWAYS, environment: str | None = None
    ) -> tuple[costs.Costs, costs.Costs]:
        """Add up what the calls of a period cost by `by` (some of `costs.BY`): real calls, and simulated ones.

        Runs are shared out to the processors, which SQLite keeps busy without Python; all of one run is of one moment.
        Raises UsageError where there is nothing of that name to group by.
        """
        if unknown := [name for name in by if name not in costs.BY]:
            expected = ", ".join(costs.BY)
            raise UsageError(f"cannot group by {unknown[0]!r}", hint=f"--by takes {expected}; several with commas")

        def add_up(share: tuple[int, int]) -> costs.Added:
            with Journal(self.path) as own, own._explained(), own._one_moment():
                return costs.add_up(own._connection, by, period, environment and encodable(environment), share)

        with self._explained():
            shares = costs.shares(self._connection, os.cpu_count() or 1)
        with ThreadPoolExecutor(len(shares)) as pool:
            first, *others = pool.map(add_up, shares)
        for other in others:
            first.add(other)
        return first.costs(simulated=False), first.costs(simulated=True)

    def environments(self) -> list[str]:
        """Give the environments there are runs of."""
        with self._explained():
            return [name for (name,) in self._connection.execute("SELECT DISTINCT environment FROM run ORDER BY 1")]

    def days(self) -> tuple[date | None, date | None]:
        """Give the first and the last UTC day on which a model was called."""
        with self._explained():
            return costs.days(self._connection)

    def prompt_lengths(self, since: datetime, over: int = 1) -> list[PromptLengths]:
        """Say how long the prompts sent from `since` on were, for each role and model with one of `over` tokens or more."""
        with self._explained():
            rows = self._connection.execute(query("prompt_lengths"), {"since": time_text(since), "over": over})
            return [PromptLengths(role, model, calls, p95, largest) for role, model, calls, p95, largest in rows]

    def read(self, reading: Callable[[sqlite3.Connection], T]) -> T:
        """Read with a function of this package, all of it at one moment."""
        with self._explained(), self._one_moment():
            return reading(self._connection)

    def paused(self) -> dict[str, int]:
        """Count the runs of each environment that stand still because a cap was reached."""
        with self._explained():
            return balances.paused(self._connection)

    def lapsed(self) -> list[tuple[str, str]]:
        """Give the runs that wait for a credential, each with a role that needs it."""
        with self._explained():
            return [(run_id, role) for run_id, role in self._connection.execute(query("lapsed"))]

    def holds(self, run_id: str, key: str) -> bool:
        """Whether a run holds the call with this key, or did and goes on: others are not there to be decided."""
        with self._explained():
            return self._connection.execute(query("holds"), (run_id, key)).fetchone() is not None

    def resumes(self, run_id: str) -> int:
        """Count how often a person let a run go on."""
        with self._explained():
            return len(self._facts(ResumeFact, run_id, "number"))

    def held(self, *, every: bool = False) -> list[HeldCall]:
        """Give the calls that wait for a person, oldest first; `every`: those decided or past deciding, too."""
        with self._explained():
            calls = [held_call(row) for row in self._connection.execute(query("held"))]
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
        sql = query("runs").replace("{where}", " AND ".join(conditions) or "TRUE")
        return [run_line(row) for row in self._connection.execute(sql, given)]

    def _facts(self, kind: type[F], run_id: str, order: str = "at, rowid") -> tuple[F, ...]:
        return run_facts(self._connection, kind, run_id, order)

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
