"""Reads trimtab's prompts: what a request asks for, and how far its conversation has come."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from trimtab.models.simulator.wire import Block, Request

PLAN, CLARIFY, ANSWER = "plan", "clarify", "answer"

_BLOCK = re.compile(r'<untrusted name="([^"]*)">\s*([^<]*?)\s*</untrusted>')


@dataclass(frozen=True, slots=True)
class Tried:
    """A tool call of an earlier turn and what came of it."""

    tool: str
    arguments: Mapping[str, Any]
    result: str
    failed: bool

    @property
    def value(self) -> Any:
        """The result as JSON, else as text."""
        found = _BLOCK.search(self.result)
        return _json(found[2] if found else self.result)


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """An orchestrator is to break a request up. `texts` are all strings of the request, `tried` its earlier plans."""

    texts: tuple[str, ...]
    tried: tuple[Tried, ...]
    offered: frozenset[str]


@dataclass(frozen=True, slots=True)
class WorkAsked:
    """A specialist is to do a subtask."""

    subtask: Mapping[str, Any]
    tried: tuple[Tried, ...]
    offered: frozenset[str]


@dataclass(frozen=True, slots=True)
class OtherAsked:
    """Something else is asked."""

    text: str


Asked: TypeAlias = PlanAsked | WorkAsked | OtherAsked


def read(request: Request) -> Asked:
    """Say what is asked for."""
    said = "\n".join(block.said for block in request.messages[0].blocks)
    blocks = {name: _json(text) for name, text in _BLOCK.findall(said)}
    if PLAN in request.offered and "request" in blocks:
        return PlanAsked(tuple(_strings(blocks["request"])), tuple(_tried(request)), request.offered)
    if isinstance(blocks.get("subtask"), dict):
        return WorkAsked(blocks["subtask"], tuple(_tried(request)), request.offered)
    return OtherAsked(said)


def _tried(request: Request) -> Iterator[Tried]:
    results = {b.tool_use_id: b for turn in request.messages for b in turn.blocks if b.type == "tool_result"}
    for turn in request.messages:
        for block in turn.blocks:
            if block.type == "tool_use" and block.id in results:
                yield _outcome(block, results[block.id])


def _outcome(use: Block, result: Block) -> Tried:
    arguments = cast("dict[str, Any]", given) if isinstance(given := use.input, dict) else {}
    return Tried(use.name, arguments, result.said, failed=bool(result.is_error))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        inner = cast("dict[str, Any] | list[Any]", value)
        for part in inner.values() if isinstance(inner, dict) else inner:
            yield from _strings(part)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
