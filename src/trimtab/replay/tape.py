"""The tape: what the tools of a recorded run answered, and a toolbox that knows nothing else.

`Tape` holds no function and no specialist, so a run that is given it cannot touch anything. A call is found by role, tool and
arguments. What the recorded run never asked is a miss: the call fails with the class `UNANSWERABLE`, the run ends, and nobody
can say how it would have gone on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trimtab.core.outcome import Done, Failed, Handoff, Outcome, Retry
from trimtab.core.records import ToolCallFact
from trimtab.core.values import Json, digest, dumps
from trimtab.run.call import read_outcome
from trimtab.run.tool import Tool, Undone
from trimtab.run.toolbox import Use
from trimtab.run.workflow import Workflow

UNANSWERABLE = "unanswerable"
_READ = "/read/"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call of the recorded run: who asked what, and what came of it.

    `outcome` is as journaled (None: it was never made, or nobody knows). `held`: a person had to decide first. `holds`: what was
    said of its postcondition at last (None: nobody asked).
    """

    role: str
    tool: str
    subtask: str
    arguments: str
    outcome: Mapping[str, Any] | None
    held: bool = False
    holds: bool | str | None = None


def read_tape(workflow: Workflow[Any, Any], calls: Iterable[ToolCallFact], steps: Mapping[str, Json]) -> Tape:
    """Put a tape together from the facts of a run's tool calls and the results of its steps."""
    return Tape(_recorded(workflow, calls, steps))


def _recorded(
    workflow: Workflow[Any, Any], calls: Iterable[ToolCallFact], steps: Mapping[str, Json]
) -> Iterator[Recorded]:
    for call in calls:
        base = call.step.rpartition("/")[0]
        if call.outcome == "held":
            yield Recorded(call.role, call.tool, call.subtask, _named(workflow, call), None, held=True)
            continue
        outcome = _saved(call, steps)
        if outcome is None or outcome.get("outcome") == "unknown":
            continue
        held = steps.get(f"{base}/approval") is True
        yield Recorded(
            call.role, call.tool, call.subtask, _named(workflow, call), outcome, held=held, holds=_holds(base, steps)
        )


def _named(workflow: Workflow[Any, Any], call: ToolCallFact) -> str:
    specialist = workflow.specialists.get(call.role)
    tool = specialist.tools.get(call.tool) if specialist else None
    return "" if tool is None else name_of(tool, call.arguments)


def name_of(tool: Tool, arguments: Json) -> str:
    """Name arguments: the same for the same call, however it was written."""
    try:
        return digest(tool.canonical(arguments))
    except ValueError:  # arguments of another version of the tool
        return digest(arguments)


def _saved(call: ToolCallFact, steps: Mapping[str, Json]) -> Mapping[str, Any] | None:
    # A read was made in the step of the model call that asked for it, or in one of its own; a write always in its own.
    step, read, place = call.step.rpartition(_READ)
    found: Any = steps.get(step if read else call.step) or {}
    if read:
        found = found.get("reads", {}).get(place) or {}
    return found if "outcome" in found else None


def _holds(base: str, steps: Mapping[str, Json]) -> bool | str | None:
    said: Any = None
    attempt = 1
    while isinstance(found := steps.get(f"{base}/holds/{attempt}"), Mapping):
        said, attempt = found.get("holds"), attempt + 1
    return said


class Tape:
    """A toolbox that answers what was recorded. It is the same on every replay, so that it may be asked again after a crash."""

    def __init__(self, recorded: Iterable[Recorded]) -> None:
        self._calls: dict[tuple[str, str, str], list[Recorded]] = {}
        for one in recorded:
            self._calls.setdefault((one.role, one.tool, one.arguments), []).append(one)

    async def held(self, use: Use) -> bool:
        """A call that needed a person then needs one now, and nobody is asked."""
        return any(one.held for one in self._found(use))

    def put_off(self, use: Use) -> datetime | None:
        """Never: the hours were those of the day it was recorded."""
        del use

    async def make(self, use: Use) -> Outcome[object]:
        """Give what was recorded; a miss fails."""
        recorded = self._one(use)
        if recorded is None:
            return Failed(f"not on the tape: {called(use.specialist.role, use.tool.name, use.arguments)}", UNANSWERABLE)
        assert recorded.outcome is not None
        outcome = read_outcome(recorded.outcome)
        try:
            match outcome:
                case Done(value):
                    return Done(use.tool.load(value))
                case Handoff(_, value):
                    return replace(outcome, value=use.tool.load(value))
                case Retry(reason, _, error_class):
                    return Failed(reason, error_class)  # it was tried as often as may be
                case _:
                    return outcome
        except ValueError as error:
            return Failed(f"what the tape holds is no result of {use.tool.name}: {error}", UNANSWERABLE)

    def can_look_up(self, tool: Tool) -> bool:
        """Whether a call took effect is always known: none does."""
        del tool
        return True

    async def look_up(self, use: Use) -> object:
        """It was not made."""
        del use

    async def holds(self, use: Use, value: Json) -> bool | str:
        """As recorded; where nobody asked then, nothing speaks against it."""
        del value
        recorded = self._one(use)
        return True if recorded is None or recorded.holds is None else recorded.holds

    async def take_back(self, use: Use, value: Json) -> Undone:
        """There is nothing to take back."""
        del use, value

    def _one(self, use: Use) -> Recorded | None:
        # The world may have moved while it was recorded. The same subtask asked at the same point of the work, and its last
        # attempt is what it went on with; any other asks as if it were the first.
        found = [one for one in self._found(use) if one.outcome is not None]
        same = [one for one in found if one.subtask == use.step.subtask]
        return same[-1] if same else next(iter(found), None)

    def _found(self, use: Use) -> list[Recorded]:
        return self._calls.get((use.specialist.role, use.tool.name, name_of(use.tool, use.arguments)), [])


def called(role: str, tool: str, arguments: Json) -> str:
    """Write a call as a person reads it, shortened."""
    text, most = dumps(arguments), 160
    return f"{role}.{tool}({text if len(text) <= most else text[:most] + '…'})"
