"""A plan: a directed acyclic graph of subtasks for specialists, and the references between them.

An input that is the whole string `$ID.FIELD` (or `$ID.FIELD.KEY`) stands for a field of the result of subtask ID, which must
be among the (transitive) needs of the subtask that names it; `$request.FIELD` stands for a field of the request.
`$$` at the start of a string is a plain `$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from trimtab.core.values import Json

REFERENCE = re.compile(r"\$([A-Za-z_][\w-]*)((?:\.\w+)+)")
REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Reference:
    """A pointer into the result of another subtask (or, with `subtask == "request"`, into the request)."""

    subtask: str
    path: tuple[str, ...]

    @property
    def field(self) -> str:
        """The result field pointed at."""
        return self.path[0]

    def __str__(self) -> str:
        """Write it as plans do."""
        return f"${self.subtask}.{'.'.join(self.path)}"


@dataclass(frozen=True, slots=True)
class Subtask:
    """One piece of work for one specialist: call `action` as `instruction` says, on `inputs`, after `needs`."""

    id: str
    specialist: str
    action: str
    instruction: str = ""
    inputs: Mapping[str, Json] = field(default_factory=dict[str, Json])
    needs: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """The action's full name, `specialist.action`."""
        return f"{self.specialist}.{self.action}"

    def as_json(self) -> dict[str, Json]:
        """Give the subtask as the orchestrator would have written it."""
        return {
            "id": self.id,
            "specialist": self.specialist,
            "action": self.action,
            "instruction": self.instruction,
            "inputs": self.inputs,
            "needs": list(self.needs),
        }

    def references(self) -> Iterator[Reference]:
        """Every reference anywhere in the inputs."""
        return find_references(self.inputs)


@dataclass(frozen=True, slots=True)
class Plan:
    """Subtasks in the order the orchestrator listed them; the order of work follows from `needs` alone."""

    subtasks: tuple[Subtask, ...]

    def __getitem__(self, subtask_id: str) -> Subtask:
        """Find a subtask by id."""
        return next(s for s in self.subtasks if s.id == subtask_id)

    def ancestors(self, subtask_id: str) -> frozenset[str]:
        """Give the ids of everything that ends before this subtask starts. Safe on cycles and on dangling needs."""
        needs = {s.id: s.needs for s in self.subtasks}
        seen: set[str] = set()
        todo = list(needs.get(subtask_id, ()))
        while todo:
            other = todo.pop()
            if other not in seen and other in needs:
                seen.add(other)
                todo += needs[other]
        return frozenset(seen)

    def as_json(self) -> Json:
        """Give the plan as the orchestrator would have written it."""
        return {"subtasks": [s.as_json() for s in self.subtasks]}


def reference(value: object) -> Reference | None:
    """Read one input value as a reference, if it is one."""
    match = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return Reference(match[1], tuple(match[2][1:].split("."))) if match else None


def find_references(value: Json) -> Iterator[Reference]:
    """Every reference inside a JSON value, at any depth."""
    return (found for text in strings(value) if (found := reference(text)))


def strings(value: Json) -> Iterator[str]:
    """Every string inside a JSON value, at any depth, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


def resolve(value: Json, results: Mapping[str, Json]) -> Json:
    """Put results in the place of references. Raises KeyError with the reference where there is none to put."""
    if found := reference(value):
        return _follow(found, results)
    if isinstance(value, str):
        return value[1:] if value.startswith("$$") else value
    if isinstance(value, Mapping):
        return {key: resolve(inner, results) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(inner, results) for inner in value]
    return value


def _follow(pointer: Reference, results: Mapping[str, Json]) -> Json:
    value: Json = results.get(pointer.subtask)
    for key in pointer.path:
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError(str(pointer))
        value = value[key]
    return value
