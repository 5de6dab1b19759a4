"""What is said to a model and what it says back, in trimtab's own words; `models` translates to each provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from trimtab.core.usage import Usage
from trimtab.core.values import Json


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it. `schema` is the JSON schema of its arguments, an object."""

    name: str
    description: str
    schema: Json


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The model asks for a tool. `arguments` is the parsed JSON object: never one that was cut off or repaired."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Said:
    """Words of ours to the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What the model said in an earlier turn."""

    text: str
    calls: tuple[ToolUse, ...]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """The answer to one tool use."""

    id: str
    name: str
    content: str
    is_error: bool = False


Message: TypeAlias = Said | Answered | ToolReturned


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to one model. `model` is `provider:name` with a full id; `must_use_tool` forbids a plain text answer."""

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    max_tokens: int
    must_use_tool: bool = True
    effort: str | None = None
    timeout: timedelta = timedelta(seconds=120)
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A whole answer: its end was seen and its tool arguments are valid JSON objects.

    `model` is the name the response itself carries. `simulated` is true when no real model was asked.
    """

    text: str
    calls: tuple[ToolUse, ...]
    usage: Usage
    model: str
    response_id: str
    stop_reason: str
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class ModelFault:
    """No usable answer.

    transient: worth the same call again later (408, 409, 429, 5xx, 529, connection, time-out).
    permanent: the same call can never work (400, 401, 403, 404, refused content).
    malformed: the model answered, was paid, and said nothing usable (cut off at max_tokens, broken JSON, no tool used);
               `message` is fit to be shown to it.
    """

    kind: Literal["transient", "permanent", "malformed"]
    error_class: str
    message: str
    retry_after: timedelta | None = None
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    response_id: str | None = None
    stop_reason: str | None = None
    simulated: bool = False
