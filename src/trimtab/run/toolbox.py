"""The one way from a run to the user's tools. Whoever gives a run another toolbox decides what its tools touch."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from trimtab.core.values import Json
from trimtab.run.tool import Step, Tool, Undone
from trimtab.run.workflow import Specialist


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a tool: whose it is, in which step, with which arguments (JSON that the tool was checked to take)."""

    specialist: Specialist[Any]
    tool: Tool
    step: Step
    arguments: Json


class Toolbox(Protocol):
    """What a run asks of tools. What these raise ends that one use (`run.outside.FAULTS`), as if the tool had raised it."""

    async def held(self, use: Use) -> bool | str:
        """Whether (or why) a person has to decide first; asked only of tools with an approval."""
        ...

    def put_off(self, use: Use) -> datetime | None:
        """Until when the call must wait, if it must; asked only of tools with quiet hours."""
        ...

    async def make(self, use: Use) -> object:
        """Make the call; gives a value or one of the outcomes, as the tool does."""
        ...

    def can_look_up(self, tool: Tool) -> bool:
        """Whether it can be found out if a call took effect."""
        ...

    async def look_up(self, use: Use) -> object:
        """Ask whether the call with the step's key took effect; as a tool's `lookup`."""
        ...

    async def holds(self, use: Use, value: Json) -> bool | str:
        """Whether what must hold after the call does; as a tool's `ensure`."""
        ...

    async def take_back(self, use: Use, value: Json) -> Undone:
        """Take the call back; as a tool's `compensate`."""
        ...


class OwnTools:
    """Calls the functions that the tools were declared with."""

    async def held(self, use: Use) -> bool | str:
        """Ask the tool's predicate."""
        assert use.tool.approval is not None
        answer = use.tool.approval(use.specialist, use.step, use.tool.read(use.arguments))
        return await answer if inspect.isawaitable(answer) else answer

    def put_off(self, use: Use) -> datetime | None:
        """Ask the tool's hours."""
        assert use.tool.quiet is not None
        return use.tool.quiet(use.specialist, use.step, use.tool.read(use.arguments))

    async def make(self, use: Use) -> object:
        """Call the tool."""
        return await use.tool.function(use.specialist, use.step, **use.tool.read(use.arguments))

    def can_look_up(self, tool: Tool) -> bool:
        """Whether it declares a lookup."""
        return tool.find is not None

    async def look_up(self, use: Use) -> object:
        """Call its lookup."""
        assert use.tool.find is not None
        return await use.tool.find(use.specialist, use.step)

    async def holds(self, use: Use, value: Json) -> bool | str:
        """Call its check."""
        assert use.tool.holds is not None
        return await use.tool.holds(use.specialist, use.step, use.tool.load(value))

    async def take_back(self, use: Use, value: Json) -> Undone:
        """Call its compensation."""
        assert use.tool.undo is not None
        return await use.tool.undo(use.specialist, use.step, use.tool.load(value))
