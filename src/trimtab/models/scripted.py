"""A model for tests that says what it was told to say, at no cost and with no network."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal, TypeAlias

from trimtab.core.errors import UsageError
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, ToolUse
from trimtab.core.usage import Usage
from trimtab.core.values import Json

Reply: TypeAlias = ModelAnswer | ModelFault
Play: TypeAlias = Callable[[ModelCall], Reply | Awaitable[Reply]]

MADE_UP_USAGE = Usage(input=100, output=20)
"""What every scripted answer, and every malformed one, says it used: a stated figure, measured nowhere."""


class ScriptedModel:
    """Answers from a script (`core.ports.ModelClient`): a function of the call, or replies played in order.

    `calls` holds every call, in the order they came. Model, response id and tool-use ids are filled in where the script
    left them empty; every reply is marked simulated.
    """

    def __init__(self, script: Play | Sequence[Reply | Play]) -> None:
        self._script = script
        self.calls: list[ModelCall] = []

    async def ask(self, call: ModelCall) -> Reply:
        """Play the next reply."""
        self.calls.append(call)
        number = len(self.calls)
        reply = self._next(number)
        if callable(reply):
            played = reply(call)
            reply = await played if inspect.isawaitable(played) else played
        return _signed(reply, call, number)

    def _next(self, number: int) -> Reply | Play:
        if callable(self._script):
            return self._script
        if number > len(self._script):
            raise UsageError(
                f"the scripted model was asked {number} times and has {len(self._script)} replies",
                hint="add a reply, or give a function of the call",
            )
        return self._script[number - 1]


def says(text: str) -> ModelAnswer:
    """Answer in plain text."""
    return ModelAnswer(text, (), MADE_UP_USAGE, "", "", "end_turn", simulated=True)


def uses(tool: str, /, **arguments: Json) -> ModelAnswer:
    """Answer by using a tool."""
    return replace(says(""), calls=(ToolUse("", tool, arguments),), stop_reason="tool_use")


def together(*answers: ModelAnswer) -> ModelAnswer:
    """Make one answer of several: all their text and all their tool uses."""
    text = "\n".join(answer.text for answer in answers if answer.text)
    calls = tuple(use for answer in answers for use in answer.calls)
    return replace(says(text), calls=calls, stop_reason="tool_use" if calls else "end_turn")


def fault(
    kind: Literal["transient", "permanent", "malformed"],
    error_class: str = "scripted",
    message: str = "the script says so",
    *,
    retry_after: timedelta | None = None,
) -> ModelFault:
    """Give no usable answer. A malformed one was paid for."""
    usage = MADE_UP_USAGE if kind == "malformed" else Usage()
    return ModelFault(kind, error_class, message, retry_after=retry_after, usage=usage, simulated=True)


def _signed(reply: Reply, call: ModelCall, number: int) -> Reply:
    name = call.model.partition(":")[2] or call.model
    response_id = f"msg_simulated_scripted_{number}"
    match reply:
        case ModelAnswer():
            calls = tuple(
                replace(use, id=use.id or f"toolu_scripted_{number}_{place}")
                for place, use in enumerate(reply.calls, 1)
            )
            return replace(
                reply,
                calls=calls,
                model=reply.model or name,
                response_id=reply.response_id or response_id,
                simulated=True,
            )
        case ModelFault(kind="malformed"):
            return replace(
                reply, model=reply.model or name, response_id=reply.response_id or response_id, simulated=True
            )
        case ModelFault():
            return replace(reply, simulated=True)
