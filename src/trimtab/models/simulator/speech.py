"""What a simulated model says: words or one tool call, whole or cut off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

_TOKEN = 4  # characters of a token, about


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call. `broken` is its JSON as a stream carries it, where that is not the JSON of `arguments`."""

    tool: str
    arguments: Mapping[str, Any]
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Speech:
    """One answer. `kind` says what it is for; `failures` names what is wrong with it, for counting.

    `also` holds further tool calls of the same answer; a `boundless` one does not end where it was told to.
    """

    kind: Literal["plan", "clarify", "call", "answer", "text"]
    content: ToolCall | str
    failures: tuple[str, ...] = ()
    cut: bool = False
    also: tuple[ToolCall, ...] = ()
    boundless: bool = False

    @property
    def block(self) -> Literal["text", "tool_use"]:
        """The kind of its content block."""
        return "text" if isinstance(self.content, str) else "tool_use"

    @property
    def stop_reason(self) -> str:
        """Why it ends."""
        return "max_tokens" if self.cut else _STOPS[self.block]

    @property
    def streamed(self) -> str:
        """Its characters in a stream."""
        if isinstance(self.content, str):
            return self.content
        return json.dumps(self.content.arguments) if self.content.broken is None else self.content.broken

    @property
    def tokens(self) -> int:
        """The least number of tokens it can have."""
        return -(-len(self.streamed) // _TOKEN) or 1

    def cut_to(self, tokens: int) -> Speech:
        """End it after so many tokens, in the middle of what it says."""
        kept = self.streamed[: tokens * _TOKEN]
        if isinstance(self.content, str):
            return replace(self, content=kept, cut=True)
        # Outside a stream the API sends an object, with what had arrived by then.
        return replace(
            self, content=replace(self.content, arguments=shortened(self.content.arguments), broken=kept), cut=True
        )


def shortened(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the first half: of the keys, or of the list that is all there is."""
    keys = list(arguments)
    if len(keys) > 1:
        return {key: arguments[key] for key in keys[: len(keys) // 2]}
    only: Any = arguments[keys[0]] if keys else None
    return {keys[0]: only[: len(cast("list[Any] | str", only)) // 2]} if isinstance(only, list | str) else {}


_STOPS: Mapping[str, str] = {"text": "end_turn", "tool_use": "tool_use"}
