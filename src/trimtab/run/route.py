"""From a subtask to the work of one specialist: its tools, its resolved inputs, and only the fields it may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.core.outcome import Failed
from trimtab.core.plan import REQUEST, Subtask, reference, resolve
from trimtab.core.values import Json
from trimtab.run.scope import Scope
from trimtab.run.tool import Tool
from trimtab.run.workflow import Specialist


@dataclass(frozen=True, slots=True)
class Assignment:
    """A subtask ready to be worked on. `results` are those of the subtasks it rests on, by id."""

    subtask: Subtask
    specialist: Specialist[Any]
    action: Tool
    inputs: Mapping[str, Json]
    results: Mapping[str, Json]


def route(scope: Scope, subtask: Subtask, results: Mapping[str, Json]) -> Assignment | Failed:
    """Resolve inputs from results. Failed where a result lacks the field (optional fields may be absent)."""
    specialist = scope.workflow.specialists[subtask.specialist]
    known = {**results, REQUEST: scope.request_fields}
    try:
        inputs = {key: _project(value, resolve(value, known), specialist.sees) for key, value in subtask.inputs.items()}
    except KeyError as missing:
        return Failed(f"{missing.args[0]} has no value", "unresolved")
    return Assignment(subtask, specialist, specialist.tools[subtask.action], inputs, results)


def resolvable(scope: Scope, subtask: Subtask, results: Mapping[str, Json]) -> bool:
    """Whether every reference of the subtask has a value."""
    return isinstance(route(scope, subtask, results), Assignment)


def _project(planned: Json, value: Json, sees: frozenset[str] | None) -> Json:
    # Only what came from another's result is cut: literals were written for this specialist.
    if sees is None or planned == value:
        return value
    if reference(planned) is not None:
        return _cut(value, sees)
    if isinstance(planned, Mapping) and isinstance(value, Mapping):
        return {key: _project(inner, value[key], sees) for key, inner in planned.items()}
    if isinstance(planned, list) and isinstance(value, list):
        return [_project(inner, value[n], sees) for n, inner in enumerate(planned)]
    return value


def _cut(value: Json, sees: frozenset[str]) -> Json:
    if isinstance(value, Mapping):
        return {key: _cut(inner, sees) for key, inner in value.items() if key in sees}
    if isinstance(value, list):
        return [_cut(inner, sees) for inner in value]
    return value
