"""How facts become rows and rows become facts: the one place that knows how each type of field is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from trimtab.core.moves import ExperimentFact, HostFact, RolloutFact
from trimtab.core.outcome import Status
from trimtab.core.records import (
    AssignmentFact,
    BudgetFact,
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
    ScoreFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.core.values import dumps
from trimtab.core.watched import AlertFact, DeliveryFact, SettledFact, SpentFact

Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Table:
    """One class of facts as a table: its name, and the columns that name a fact once and for all."""

    name: str
    key: tuple[str, ...]


TABLES: dict[type[Fact], Table] = {
    RunFact: Table("run", ("run_id",)),
    ExposureFact: Table("exposure", ("run_id",)),
    PlanFact: Table("plan", ("run_id", "number")),
    SubtaskFact: Table("subtask", ("run_id", "subtask", "state")),
    ModelCallFact: Table("model_call", ("run_id", "step")),
    ToolCallFact: Table("tool_call", ("run_id", "step")),
    # `final` and `status` too: a run may stand otherwise, or end, without a decision between.
    OutcomeFact: Table("outcome", ("run_id", "number", "final", "status")),
    DecisionFact: Table("decision", ("run_id", "key")),
    EffectFact: Table("effect", ("run_id", "step", "state")),
    RungFact: Table("rung", ("run_id", "step", "rung")),
    BudgetFact: Table("budget", ("run_id", "step", "state")),
    ResumeFact: Table("resume", ("run_id", "number")),
    ScoreFact: Table("score", ("run_id", "number")),
    AssignmentFact: Table("assignment", ("run_id", "experiment")),
    ExperimentFact: Table("experiment", ("name", "number")),
    AlertFact: Table("alert", ("cause", "number", "state")),
    DeliveryFact: Table("delivery", ("cause", "number", "state", "channel", "attempt", "outcome")),
    SpentFact: Table("spent_hour", ("environment", "at")),
    SettledFact: Table("settled_hour", ("environment", "at")),
    RolloutFact: Table("rollout", ("name", "number")),
    HostFact: Table("host_change", ("host", "number")),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """How values of one annotation are kept. None: as they are, which spares a call for every value."""

    write: Convert | None = None
    read: Convert | None = None


def time_text(at: datetime) -> str:
    """Write a time so that the order of text is the order of time."""
    return (at if at.tzinfo is UTC else _in_utc(at)).isoformat(timespec="microseconds")


def encodable(text: str) -> str:
    r"""Write half of a surrogate pair as `\ud800`, which SQLite can keep, and which is how JSON writes it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _in_utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        message = f"a fact's time must be aware, not {at!r}"
        raise ValueError(message)
    return at.astimezone(UTC)


def _plain(amount: Decimal) -> str:
    # Never `1E-7`: SQL cuts amounts at their point.
    return f"{amount:f}"


def _or_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


KEPT: dict[str, Kept] = {
    "str": Kept(),
    "str | None": Kept(),
    "int": Kept(),
    "float": Kept(),
    "bool": Kept(int, bool),
    "Json": Kept(dumps, json.loads),
    "datetime": Kept(time_text, datetime.fromisoformat),
    "date": Kept(date.isoformat, date.fromisoformat),
    "Decimal | None": Kept(_or_none(_plain), _or_none(Decimal)),
    # `str`: SQLite would look for an adapter of every subclass it is given.
    "Status": Kept(str, Status),
    "Status | None": Kept(_or_none(str), _or_none(Status)),
}


def names(kind: type[Fact]) -> list[str]:
    """Give the columns of a class of facts, in order."""
    return [field.name for field in fields(kind)]


def kept(kind: type[Fact]) -> list[Kept]:
    """Give how each column of a class of facts is kept, in order."""
    return [KEPT[str(field.type)] for field in fields(kind)]
