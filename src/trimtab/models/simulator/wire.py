"""The Messages API on the wire: what a request must be, and what messages, event streams and errors look like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trimtab.models.simulator.speech import Speech, ToolCall

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_DELTA = 256  # characters of one delta: few enough events to be cheap, enough to be a stream


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)  # unknown keys pass: the real API grows new ones


class Block(_Part):
    """A content block; the fields of all kinds in one."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    tool_use_id: str = ""
    content: str | list[Block] | None = None
    input: Any = None
    is_error: bool | None = None

    @property
    def said(self) -> str:
        """The text of a text block or of a tool result."""
        return self.text or _text(self.content or "")


class Turn(_Part):
    """One message."""

    role: Literal["user", "assistant"]
    content: str | list[Block]

    @property
    def blocks(self) -> list[Block]:
        """The content, always as blocks."""
        return [Block(type="text", text=self.content)] if isinstance(self.content, str) else self.content


class Tool(_Part):
    """A tool on offer."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")


class ToolChoice(_Part):
    """Whether a tool must be used."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""


class Metadata(_Part):
    """Who asks; trimtab puts the run's id there."""

    user_id: str | None = None


class Question(_Part):
    """What `count_tokens` takes."""

    model: str = Field(min_length=1)
    messages: list[Turn] = Field(min_length=1)
    tools: list[Tool] = Field(default_factory=list[Tool])
    tool_choice: ToolChoice | None = None


class Request(Question):
    """What `/v1/messages` takes."""

    max_tokens: int = Field(gt=0)
    stream: bool = False
    metadata: Metadata | None = None

    @property
    def run_id(self) -> str:
        """The run that asks, or nothing."""
        return (self.metadata and self.metadata.user_id) or ""

    @property
    def offered(self) -> frozenset[str]:
        """Names of the tools on offer."""
        return frozenset(tool.name for tool in self.tools)


def misuse(question: Question) -> str:
    """Say what the real API would refuse in a request of the right shape; nothing when it is fine."""
    if question.messages[0].role != "user":
        return 'messages: first message must use the "user" role'
    names = [tool.name for tool in question.tools]
    if len(set(names)) < len(names):
        return "tools: Tool names must be unique."
    if question.tool_choice and question.tool_choice.type in ("any", "tool") and not names:
        return "tool_choice: may only be specified while providing tools"
    return _unpaired(question)


def _unpaired(question: Question) -> str:
    pending: set[str] = set()
    for _, turns in groupby(question.messages, key=lambda turn: turn.role):  # turns of one role in a row count as one
        blocks = [block for turn in turns for block in turn.blocks]
        answered = {b.tool_use_id for b in blocks if b.type == "tool_result"}
        if strange := sorted(answered - pending):
            return f"messages: unexpected `tool_use_id` found in `tool_result` blocks: {strange[0]}"
        if missing := sorted(pending - answered):
            return f"messages: `tool_use` ids were found without `tool_result` blocks immediately after: {missing[0]}"
        pending = {b.id for b in blocks if b.type == "tool_use"}
    return ""


def complaint(error: ValidationError) -> str:
    """Say in the API's words what is wrong with the shape of a request."""
    fault = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"


def error_body(status: int, message: str, request_id: str) -> bytes:
    """Write an error as the API does."""
    error = {"type": ERROR_TYPES[status], "message": f"simulated: {message}"}
    return _dump({"type": "error", "error": error, "request_id": request_id}).encode()


def message_body(model: str, speech: Speech, tokens: tuple[int, int], name: str) -> bytes:
    """Write a whole answer as JSON."""
    usage = _usage(*tokens)
    return _dump(_message(model, name, _contents(speech, name), speech.stop_reason, usage)).encode()


def message_events(model: str, speech: Speech, tokens: tuple[int, int], name: str) -> Iterator[bytes]:
    """Write an answer as server-sent events."""
    yield _event("message_start", message=_message(model, name, [], None, _usage(tokens[0], 1)))
    yield _event("content_block_start", index=0, content_block=_content(speech.content, name) | _EMPTY[speech.block])
    yield _event("ping")
    for start in range(0, len(speech.streamed), _DELTA):
        yield _event("content_block_delta", index=0, delta=_delta(speech, speech.streamed[start : start + _DELTA]))
    yield _event("content_block_stop", index=0)
    for index, block in enumerate(_contents(speech, name)[1:], 1):
        yield _event("content_block_start", index=index, content_block=block | {"input": {}})
        whole = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield _event("content_block_delta", index=index, delta=whole)
        yield _event("content_block_stop", index=index)
    ended = {"stop_reason": speech.stop_reason, "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage={"output_tokens": tokens[1]})
    yield _event("message_stop")


def model_entry(model: str) -> dict[str, Any]:
    """Write a model as `/v1/models` lists it."""
    return {"type": "model", "id": model, "display_name": f"{model} (simulated)", "created_at": "1970-01-01T00:00:00Z"}


_EMPTY: Mapping[str, dict[str, Any]] = {"text": {"text": ""}, "tool_use": {"input": {}}}


def _message(
    model: str, name: str, content: list[Any], stop_reason: str | None, usage: dict[str, int]
) -> dict[str, Any]:
    return {
        "id": f"msg_simulated_{name}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(prompt: int, output: int) -> dict[str, int]:
    return {
        "input_tokens": prompt,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    }


def _contents(speech: Speech, name: str) -> list[dict[str, Any]]:
    more = [_content(call, f"{name}_{n}") for n, call in enumerate(speech.also, 2)]
    return [_content(speech.content, name), *more]


def _content(content: ToolCall | str, name: str) -> dict[str, Any]:
    match content:
        case ToolCall(tool, arguments):
            return {"type": "tool_use", "id": f"toolu_simulated_{name}", "name": tool, "input": arguments}
        case str(text):
            return {"type": "text", "text": text}


def _delta(speech: Speech, piece: str) -> dict[str, str]:
    if speech.block == "text":
        return {"type": "text_delta", "text": piece}
    return {"type": "input_json_delta", "partial_json": piece}


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {_dump({'type': kind, **fields})}\n\n".encode()


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _text(content: str | list[Block]) -> str:
    return content if isinstance(content, str) else "".join(block.text for block in content)
