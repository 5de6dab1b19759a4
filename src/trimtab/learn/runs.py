"""Reads the runs of two arms out of a table, column by column, and says of every row it could not use where it stands and why.

A row whose unit or arm is not known cannot be placed and is left out. A row without an outcome is kept: that it has none may be the
arm's doing, so the verdict is bounded over what it might have been. A row without a cost is left out of costs only.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from math import nan

import numpy as np
from numpy.typing import NDArray

from trimtab.core.errors import UsageError
from trimtab.learn import cells
from trimtab.learn.noted import Noted
from trimtab.learn.table import Row, Table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Outcomes = NDArray[np.int8]  # 1, 0, or -1 for not known
_MANY_ARMS = 200


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what. Several `unit` columns name a unit together. `where`: only rows with one of these values."""

    unit: Sequence[str]
    arm: str
    success: str
    cost: str | None = None
    latency: str | None = None
    order: str | None = None
    propensity: str | None = None
    must_not: Sequence[str] = ()
    where: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    @property
    def wanted(self) -> list[tuple[str, str]]:
        """Every column to read, with the option that names it; a row's cells come in this order, units and arm first."""
        maybe = {"--cost": self.cost, "--latency": self.latency, "--order": self.order, "--propensity": self.propensity}
        return [
            *(("--unit", column) for column in self.unit),
            ("--arm", self.arm),
            ("--success", self.success),
            *((option, column) for option, column in maybe.items() if column is not None),
            *(("--must-not", column) for column in self.must_not),
            *(("--where", column) for column in self.where),
        ]


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of both arms, in order: a value a run in every array. Costs and latencies that are not known are NaN.

    `units` names the units of the table; `unit` numbers them. `ordered` says that a column gave the order, not the file.
    """

    control: str
    treatment: str
    units: Sequence[str]
    unit: Ints
    treated: Bools
    success: Outcomes
    cost: Floats | None
    latency: Floats | None
    propensity: Floats | None
    must_not: Mapping[str, Outcomes]
    ordered: bool
    warnings: Sequence[str]

    def in_order(self, places: Ints) -> Runs:
        """The same runs in another order."""
        return replace(
            self,
            unit=self.unit[places],
            treated=self.treated[places],
            success=self.success[places],
            cost=None if self.cost is None else self.cost[places],
            latency=None if self.latency is None else self.latency[places],
            propensity=None if self.propensity is None else self.propensity[places],
            must_not={name: outcomes[places] for name, outcomes in self.must_not.items()},
        )


class _Reader:
    """Takes rows one by one and keeps what they say in arrays of machine numbers."""

    def __init__(self, columns: Columns, table: Table) -> None:
        self.columns, self.table, self.noted = columns, table, Noted()
        self.units: dict[str, int] = {}
        self.arms: dict[str, int] = {}
        self.unit, self.arm = array("q"), array("q")
        self.success = array("b")
        self.order: list[str] = []
        amounts = {"cost": columns.cost, "latency": columns.latency, "propensity": columns.propensity}
        self.amounts = {name: (column, array("d")) for name, column in amounts.items() if column is not None}
        self.must_not = {column: array("b") for column in columns.must_not}
        self.seen: dict[str, set[str]] = {column: set() for column in columns.where}
        self._at = {option: place for place, option in enumerate(columns.wanted)}
        self._comma = table.delimiter == ";"  # where commas do not separate cells they are decimal commas

    def take(self, row: Row) -> None:
        if row.cells is None:
            have = f"{row.width} cells, not {len(self.table.header)}"
            self.noted.note("with another number of cells than the header, left out", row.line, have)
        elif self._wanted(row.cells):
            self._place_row(row.line, row.cells)

    def _wanted(self, row: Sequence[str]) -> bool:
        wanted = True
        for column, values in self.columns.where.items():
            cell = row[self._at["--where", column]]
            if len(self.seen[column]) < _MANY_ARMS:
                self.seen[column].add(cell)
            wanted = wanted and cell in values
        return wanted

    def _place_row(self, line: int, row: Sequence[str]) -> None:
        count = len(self.columns.unit)
        named, arm = row[:count], row[count]
        if not arm:
            self.noted.note("without an arm, left out", line)
            return
        if not all(named):
            self.noted.note("without a unit, left out", line, arm=arm)
            return
        what = "without a usable propensity, left out"
        propensity = self._number("propensity", what, line, row, arm)
        if propensity is None and "propensity" in self.amounts:
            return
        self.arm.append(self.arms.setdefault(arm, len(self.arms)))
        self.unit.append(self.units.setdefault("\x1f".join(named), len(self.units)))
        self.success.append(self._outcome("--success", self.columns.success, line, row, arm))
        for column, outcomes in self.must_not.items():
            outcomes.append(self._outcome("--must-not", column, line, row, arm))
        for name, (_, amounts) in self.amounts.items():
            what = f"without a usable {name}, left out of it"
            got = propensity if name == "propensity" else self._number(name, what, line, row, arm)
            amounts.append(nan if got is None else got)
        if self.columns.order is not None:
            cell = row[self._at["--order", self.columns.order]]
            if not cell:
                self.noted.note("without a place in the order, put last", line, arm=arm)
            self.order.append(cell)

    def _outcome(self, option: str, column: str, line: int, row: Sequence[str], arm: str) -> int:
        what = f"without a usable outcome in {column!r}, taken as unknown"
        got = self._read(cells.truth, what, line, row[self._at[option, column]], arm)
        return -1 if got is None else int(got)

    def _number(self, name: str, what: str, line: int, row: Sequence[str], arm: str) -> float | None:
        if name not in self.amounts:
            return None
        cell = row[self._at[f"--{name}", self.amounts[name][0]]]
        reader = cells.chance if name == "propensity" else cells.amount
        return self._read(reader, what, line, cell.replace(",", ".") if self._comma else cell, arm)

    def _read(self, reader: cells.Reader, what: str, line: int, cell: str, arm: str) -> float | None:
        try:
            value = reader(cell)
        except ValueError as error:
            self.noted.note(what, line, str(error), arm)
            return None
        if value is None:
            self.noted.note(what, line, "empty" if not cell else repr(cell), arm)
        return value


def read_runs(table: Table, columns: Columns, *, control: str | None = None, treatment: str | None = None) -> Runs:
    """Read a table to its end.

    Raises:
        UsageError: no row fits `where`, the two arms cannot be told, an arm is empty, or no outcome can be read.
    """
    reader = _Reader(columns, table)
    for row in table.rows:
        reader.take(row)
    if not reader.arms:
        raise _no_rows(reader)
    first, second, said = _choose(reader, control, treatment)
    arm = np.array(reader.arm, dtype=np.int64)
    kept = (arm == reader.arms[first]) | (arm == reader.arms[second])
    kept_places = np.flatnonzero(kept)
    if columns.order is not None:
        kept_places = kept_places[_sorted([reader.order[place] for place in kept_places])]
    amounts = {name: np.array(values, dtype=np.float64) for name, (_, values) in reader.amounts.items()}
    runs = Runs(
        control=first,
        treatment=second,
        units=[name.replace("\x1f", "/") for name in reader.units],
        unit=np.array(reader.unit, dtype=np.int64),
        treated=arm == reader.arms[second],
        success=np.array(reader.success, dtype=np.int8),
        cost=amounts.get("cost"),
        latency=amounts.get("latency"),
        propensity=amounts.get("propensity"),
        must_not={column: np.array(outcomes, dtype=np.int8) for column, outcomes in reader.must_not.items()},
        ordered=columns.order is not None,
        warnings=[*said, *reader.noted.warnings((first, second))],
    ).in_order(kept_places)
    _check_outcomes(runs, columns, reader.noted)
    return runs


def _choose(reader: _Reader, control: str | None, treatment: str | None) -> tuple[str, str, list[str]]:
    arms, column = list(reader.arms), reader.columns.arm
    for option, named in (("--control", control), ("--treatment", treatment)):
        if named is not None and named not in arms:
            close = get_close_matches(named, arms, n=1)
            hint = f"did you mean {option} {close[0]!r}?" if close else f"name one of them with {option}"
            raise UsageError(f"no row of arm {named!r} in {column!r}: there are {_listed(arms)}", hint=hint)
    if control is not None and control == treatment:
        raise UsageError(f"{control!r} is named as control and as treatment", hint="name two different arms")
    rest = [arm for arm in arms if arm not in (control, treatment)]
    wanted = [control, treatment].count(None)
    if len(rest) < wanted:
        raise UsageError(f"{column!r} holds one arm only: {_listed(arms)}", hint="a comparison needs runs of two arms")
    if wanted and len(rest) > wanted:
        raise UsageError(
            f"{column!r} holds {len(arms)} arms: {_listed(arms)}",
            hint="name two of them: --control NAME --treatment NAME",
        )
    said: list[str] = []
    if control is None:
        control = rest.pop(0)
        if treatment is None:
            said.append(f"no --control: {control!r} is taken as control, it stands first in the file")
    treatment = rest.pop(0) if treatment is None else treatment
    if rest:
        counts = np.bincount(np.array(reader.arm, dtype=np.int64))
        others = int(sum(counts[reader.arms[arm]] for arm in rest))
        said.append(f"{others:,} rows of {len(rest)} other arms are not looked at")
    return control, treatment, said


def _listed(arms: Sequence[str]) -> str:
    shown = 8
    return ", ".join(map(repr, arms[:shown])) + (f" and {len(arms) - shown} more" if len(arms) > shown else "")


def _no_rows(reader: _Reader) -> UsageError:
    for column, values in reader.columns.where.items():
        if seen := sorted(reader.seen[column] - {""}):
            if any(value in seen for value in values):
                continue
            close = get_close_matches(values[0], seen, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "the values are compared as they are written"
            return UsageError(f"no row has {column} = {' or '.join(values)}: there are {_listed(seen)}", hint=hint)
    if reader.columns.where and not reader.noted.found:
        return UsageError(f"{reader.table.name} has no row that fits every --where", hint="take one --where away")
    problems = "".join(f"; {warning}" for warning in reader.noted.warnings(()))
    return UsageError(
        f"{reader.table.name} has no row that can be used{problems}", hint="a row for each run, below the header"
    )


def _sorted(order: Sequence[str]) -> Ints:
    # A run without a place comes last; runs of the same place stay as they stand in the file.
    named = [place for place, cell in enumerate(order) if cell]
    keys = _keys([order[place] for place in named])
    ranked = [place for _, place in sorted(zip(keys, named, strict=True))]
    return np.array([*ranked, *(place for place, cell in enumerate(order) if not cell)], dtype=np.int64)


def _keys(named: Sequence[str]) -> Sequence[float] | Sequence[str]:
    # Numbers, else times in ISO 8601, else text.
    try:
        return [float(cell) for cell in named]
    except ValueError:
        pass
    try:
        return [datetime.fromisoformat(cell).timestamp() for cell in named]
    except ValueError:
        return named


def _check_outcomes(runs: Runs, columns: Columns, noted: Noted) -> None:
    for arm, name in ((False, runs.control), (True, runs.treatment)):
        outcomes = runs.success[runs.treated == arm]
        if not outcomes.size or outcomes.max() < 0:
            why = "; ".join(noted.warnings((name,)))
            raise UsageError(
                f"arm {name!r} has no run with an outcome in {columns.success!r}: {why or 'it is empty'}",
                hint="an outcome is 1/0, true/false, yes/no or pass/fail",
            )
