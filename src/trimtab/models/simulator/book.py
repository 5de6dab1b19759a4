"""The answer book: which plan, calls and answers are right for which request text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from trimtab.core.errors import UsageError
from trimtab.core.plan import reference
from trimtab.core.values import Json
from trimtab.models.simulator.refusal import refusal

_STRICT = ConfigDict(extra="forbid")
_LITERALS = 20  # of one input; enough to choose from
_HINT = "one JSON object a line, as docs/reference/answer-book.md shows"


@dataclass(frozen=True, slots=True, config=_STRICT)
class PlannedSubtask:
    """A subtask of a right plan."""

    id: str
    specialist: str
    action: str
    instruction: str = ""
    inputs: dict[str, Any] = Field(default_factory=dict[str, Any])
    needs: list[str] = Field(default_factory=list[str])

    @property
    def call(self) -> str:
        """The action's full name, `specialist.action`."""
        return f"{self.specialist}.{self.action}"

    def as_json(self) -> dict[str, Any]:
        """Write it as a plan does."""
        return {
            "id": self.id,
            "specialist": self.specialist,
            "action": self.action,
            "instruction": self.instruction,
            "inputs": self.inputs,
            "needs": list(self.needs),
        }


@dataclass(frozen=True, slots=True, config=_STRICT)
class RightPlan:
    """The plan a model without faults gives."""

    subtasks: list[PlannedSubtask] = Field(min_length=1)

    def __post_init__(self) -> None:
        ids = [s.id for s in self.subtasks]
        for subtask in self.subtasks:
            if ids.count(subtask.id) > 1:
                raise ValueError(f"two subtasks have the id {subtask.id!r}")
            if missing := sorted(set(subtask.needs) - set(ids)):
                raise ValueError(f"subtask {subtask.id!r} needs {missing[0]!r}, which is no subtask")

    def as_json(self) -> dict[str, Any]:
        """Write it as the `plan` tool takes it."""
        return {"subtasks": [s.as_json() for s in self.subtasks]}


@dataclass(frozen=True, slots=True, config=_STRICT)
class RightCall:
    """One tool call of a specialist. `$inputs.FIELD` and `$call1.FIELD` stand for what the prompt shows."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, config=_STRICT)
class Attack:
    """A whole plan that a hostile model tries, right in form or not; `name` is for counting."""

    name: str
    plan: dict[str, Any]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Entry:
    """What is right for one request: a plan and how its subtasks are done, or the questions to ask."""

    request: str
    plan: RightPlan | None = None
    clarify: list[str] | None = Field(default=None, min_length=1)
    calls: dict[str, list[RightCall]] = Field(default_factory=dict[str, list[RightCall]])
    answers: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    forbidden: list[str] = Field(default_factory=list[str])
    attacks: list[Attack] = Field(default_factory=list[Attack])
    language: str = "en"
    run: str = ""

    @property
    def name(self) -> str:
        """What tells it from every other entry: its run where it is for one run only, its text otherwise."""
        return self.run or self.request

    def __post_init__(self) -> None:
        if not self.request.strip():
            raise ValueError("'request' is empty")
        if (self.plan is None) == (self.clarify is None):
            raise ValueError("expected either 'plan' or 'clarify'")
        ids = {s.id for s in self.subtasks}
        for key, named in (("calls", self.calls), ("answers", self.answers)):
            if strange := sorted(set(named) - ids):
                raise ValueError(f"'{key}.{strange[0]}' names no subtask of the plan")
        for call in self.forbidden:
            if call.count(".") != 1:
                raise ValueError(f"'forbidden' holds {call!r}, expected 'specialist.action'")

    @property
    def subtasks(self) -> list[PlannedSubtask]:
        """The plan's subtasks; none where questions are asked."""
        return self.plan.subtasks if self.plan else []

    def find(self, shown: Mapping[str, Any]) -> PlannedSubtask | None:
        """Find the subtask a specialist is shown, whose references are resolved by then."""
        return next((s for s in self.subtasks if _is_shown(s, shown)), None)


class AnswerBook:
    """Entries by request text. Made with `load` or `from_entries`, which refuse what they cannot use."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self.specialists = sorted({s.specialist for e in self.entries for s in e.subtasks})
        self._of_run = {e.run: e for e in self.entries if e.run}
        self._exact = {e.request: e for e in self.entries}
        self._loose = {_loose(e.request): e for e in self.entries}
        self._by_subtask: dict[tuple[str, str], list[Entry]] = {}
        self._examples: dict[str, PlannedSubtask] = {}
        self._makers: dict[str, set[str]] = {}
        self._literals: dict[str, list[Any]] = {}
        for entry in self.entries:
            for subtask in entry.subtasks:
                self._by_subtask.setdefault((subtask.id, subtask.action), []).append(entry)
                self._examples.setdefault(subtask.call, subtask)
                self._learn(entry, subtask)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a JSONL file, one entry a line; blank lines are skipped."""
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read answer book {str(path)!r}: {error}", hint=_HINT) from None
        return cls(_checked((f"{path}, line {n}", line) for n, line in enumerate(lines, 1) if line.strip()))

    @classmethod
    def from_entries(cls, entries: Iterable[Mapping[str, Any]]) -> Self:
        """Take entries as a program has them."""
        return cls(_checked((f"entry {n}", entry) for n, entry in enumerate(entries, 1)))

    def of_run(self, run_id: str) -> Entry | None:
        """Find the entry that is for one run only."""
        return self._of_run.get(run_id)

    def find(self, texts: Iterable[str], run_id: str = "") -> Entry | None:
        """Find the entry of this run, else for the first text that is a request: exactly, else but for white space."""
        candidates = tuple(texts)
        own = self.of_run(run_id)
        if own is not None and _loose(own.request) in map(_loose, candidates):
            return own
        exact = (self._exact.get(text) for text in candidates)
        loose = (self._loose.get(_loose(text)) for text in candidates)
        return next((e for found in (exact, loose) for e in found if e), None)

    def entry_of(self, shown: Mapping[str, Any]) -> Entry | None:
        """Find the entry whose plan has the subtask a specialist is shown."""
        candidates = self._by_subtask.get((str(shown.get("id")), str(shown.get("action"))), [])
        return next((e for e in candidates if e.find(shown)), None)

    def example(self, call: str) -> PlannedSubtask | None:
        """Find some subtask with this `specialist.action`."""
        return self._examples.get(call)

    def makes(self, call: str, result: str) -> bool:
        """Say whether some plan takes the field `result` from a subtask with this `specialist.action`."""
        return call in self._makers.get(result, ())

    @property
    def examples(self) -> list[PlannedSubtask]:
        """One subtask of each `specialist.action` of the book, in the order of their names."""
        return [self._examples[name] for name in sorted(self._examples)]

    def literal(self, name: str) -> Any:
        """Find some literal value of the input `name`, or None."""
        return next(iter(self.literals(name)), None)

    def literals(self, name: str) -> list[Any]:
        """Find literal values of the input `name`, a few different ones."""
        return self._literals.get(name, [])

    def _learn(self, entry: Entry, subtask: PlannedSubtask) -> None:
        calls = {s.id: s.call for s in entry.subtasks}
        for name, value in subtask.inputs.items():
            found = reference(value)
            if found is None:
                known = self._literals.setdefault(name, [])
                known += [value] if len(known) < _LITERALS and value not in known else []
            elif found.subtask in calls:
                self._makers.setdefault(found.field, set()).add(calls[found.subtask])


def _checked(sources: Iterable[tuple[str, str | Mapping[str, Any]]]) -> Iterator[Entry]:
    seen: dict[tuple[str, str], str] = {}
    for where, source in sources:
        entry = _entry(where, source)
        same = (entry.run, _loose(entry.request))
        if same in seen:
            raise UsageError(
                f"{where}: the request of {seen[same]} again (white space apart): {entry.request[:60]!r}",
                hint="keep one entry for each request text",
            )
        seen[same] = where
        yield entry
    if not seen:
        raise UsageError("the answer book is empty, expected at least one entry", hint=_HINT)


def _entry(where: str, source: str | Mapping[str, Any]) -> Entry:
    try:
        parsed: object = json.loads(source) if isinstance(source, str) else source
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{where}: not JSON ({error.msg} at column {error.colno}), expected one object", hint=_HINT
        ) from None
    if not isinstance(parsed, Mapping):
        raise UsageError(f"{where}: expected an object, got {type(parsed).__name__}", hint=_HINT)
    try:
        return _ENTRY.validate_python(parsed)
    except ValidationError as error:
        raise refusal(error, where, "", _KEYS) from None


def _is_shown(subtask: PlannedSubtask, shown: Mapping[str, Any]) -> bool:
    same = (subtask.id, subtask.action, subtask.instruction)
    return same == (shown.get("id"), shown.get("action"), shown.get("instruction", "")) and _fits(
        subtask.inputs, shown.get("inputs", {})
    )


def _fits(planned: Json, shown: Json) -> bool:
    if reference(planned):
        return True
    if isinstance(planned, str) and planned.startswith("$$"):
        return planned[1:] == shown
    if isinstance(planned, Mapping) and isinstance(shown, Mapping):
        return planned.keys() == shown.keys() and all(_fits(value, shown[key]) for key, value in planned.items())
    if isinstance(planned, list) and isinstance(shown, list):
        return len(planned) == len(shown) and all(map(_fits, planned, shown))
    return planned == shown


def _loose(text: str) -> str:
    return " ".join(text.split())


_ENTRY = TypeAdapter(Entry)
_KEYS = ("request", "plan", "clarify", "calls", "answers", "forbidden", "attacks", "name", "language", "run", "subtasks", "id", "specialist", "action", "instruction", "inputs", "needs", "tool", "arguments")  # fmt: skip
