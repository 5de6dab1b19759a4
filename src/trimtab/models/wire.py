"""Between trimtab's words and pydantic-ai's: a call becomes a request, a response becomes an answer or a fault."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from trimtab.core.messages import Answered, Message, ModelAnswer, ModelCall, ModelFault, Said, ToolReturned, ToolUse
from trimtab.core.usage import Usage
from trimtab.core.values import dumps
from trimtab.models.faults import Kind, clean
from trimtab.models.strict import LARGEST, parse_object

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponse, ToolCallPart
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage

_Ending: TypeAlias = Literal["whole", "cut", "refused"]
_Problem: TypeAlias = tuple[Kind, str, str]

# Stop reasons of the Messages API and of chat completions; one that is not here is not trusted to mean a whole answer.
_ENDINGS: Mapping[str, _Ending] = {
    "end_turn": "whole",
    "tool_use": "whole",
    "stop_sequence": "whole",
    "stop": "whole",
    "tool_calls": "whole",
    "function_call": "whole",
    "max_tokens": "cut",
    "length": "cut",
    "model_context_window_exceeded": "cut",
    "refusal": "refused",
    "content_filter": "refused",
}
SIMULATED = "msg_simulated_"
MOST_CALLS = 32  # of tools in one answer
# What both APIs take as the name and the id of a tool use that they are shown again.
_NAME = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A count beyond this is no count: no model reads or writes a billion tokens at once.
_MOST_TOKENS = 10**9


def to_messages(call: ModelCall) -> list[ModelMessage]:
    """Write the conversation: one request for all that was said between two answers, tool results first."""
    from pydantic_ai.messages import ModelRequest, SystemPromptPart

    system: list[ModelRequestPart] = [SystemPromptPart(call.system)] if call.system else []
    turns: list[ModelMessage] = []
    ours: list[ModelRequestPart] = system
    for said in _turns(_told_apart(call.messages)):
        if isinstance(said, Answered):
            turns += [ModelRequest(ours), _answered(said)]
            ours = []
        else:
            ours += [_ours(message) for message in said]
    return [*turns, ModelRequest(ours)] if ours else turns


def to_parameters(call: ModelCall) -> ModelRequestParameters:
    """Write the tools, with their schemas as they are."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    tools = [
        ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=cast("dict[str, Any]", tool.schema),
            # Left open, OpenAI's adapter rewrites some schemas to its strict subset, and a prompt digest would lie.
            strict=False,
        )
        for tool in call.tools
    ]
    return ModelRequestParameters(function_tools=tools, allow_text_output=not call.must_use_tool)


def to_settings(call: ModelCall, model: Model) -> ModelSettings:
    """Write the limits, and what the model's profile says it takes of effort and forced tool use.

    An effort is dropped for models of Anthropic and OpenAI that have none. Models that cannot be forced to use a tool
    (Sonnet 5.5, Opus 5.5, Fable 5) get their tools with `auto`; an answer in plain text is then a malformed fault.
    """
    seconds = call.timeout.total_seconds()
    # `timeout` is per read and keeps the SDK from switching to a stream; `request_timeout` is the whole call.
    settings: dict[str, Any] = {"max_tokens": call.max_tokens, "timeout": seconds, "request_timeout": seconds}
    profile: Mapping[str, Any] = model.profile
    match model.system:
        case "anthropic":
            if call.must_use_tool and profile.get("supports_forced_tool_choice", True):
                # Said outright: left to resolve itself, the choice stays `auto` for models that think by default.
                settings["tool_choice"] = "required"
            if call.effort and profile.get("anthropic_supports_effort", False):
                settings["anthropic_effort"] = call.effort
            if call.run_id:
                settings["anthropic_metadata"] = {"user_id": call.run_id}
        case system:
            # What a compatible server's model takes is not known here, so it is told what the policy says.
            if call.effort and (system != "openai" or profile.get("supports_thinking", False)):
                settings["openai_reasoning_effort"] = call.effort
    return cast("ModelSettings", settings)


def from_response(call: ModelCall, response: ModelResponse) -> ModelAnswer | ModelFault:
    """Read a response, strictly: only a whole answer with whole tool arguments counts. The usage is kept either way."""
    details: Mapping[str, Any] = response.provider_details or {}
    # A refusal in chat completions has no finish reason of its own; pydantic-ai files it as a content filter.
    stop = _word(details.get("finish_reason")) or ("refusal" if "refusal" in details else "")
    calls = _tool_uses(response.tool_calls, {tool.name for tool in call.tools})
    text, usage, response_id = _text(response), to_usage(response.usage), _word(response.provider_response_id)
    simulated = response_id.startswith(SIMULATED)
    problem = _bad_ending(call, stop, str(details.get("refusal", ""))) or _bad_content(call, text, calls)
    if problem is None:
        assert not isinstance(calls, str)
        return ModelAnswer(text, calls, usage, _word(response.model_name), response_id, stop, simulated)
    return ModelFault(
        *problem,
        usage=usage,
        model=_word(response.model_name),
        response_id=response_id or None,
        stop_reason=stop or None,
        simulated=simulated,
    )


def to_usage(usage: RequestUsage) -> Usage:
    """Split tokens into disjoint kinds: pydantic-ai counts cache reads and writes in `input_tokens`, too.

    Cache writes that the response does not call one-hour ones are five-minute ones, Anthropic's default. Counts that no call can
    have are as none: all zero.
    """
    if max(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens) > _MOST_TOKENS:
        return Usage()
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    return Usage(
        input=max(usage.input_tokens - cached, 0),
        output=usage.output_tokens,
        cache_read=usage.cache_read_tokens,
        cache_write_5m=max(usage.cache_write_tokens - usage.cache_write_1h_tokens, 0),
        cache_write_1h=usage.cache_write_1h_tokens,
    )


def _told_apart(messages: Sequence[Message]) -> Iterator[Message]:
    """Give every tool use an id of its own, and its result the same: some servers repeat theirs, and no API takes that back."""
    taken: set[str] = set()
    renamed: list[tuple[str, str]] = []
    for message in messages:
        match message:
            case Answered(_, calls):
                fresh = [_fresh(use.id, f"toolu_{len(taken) + n}", taken) for n, use in enumerate(calls)]
                renamed = [(use.id, id_) for use, id_ in zip(calls, fresh, strict=True)]
                yield replace(message, calls=tuple(replace(u, id=i) for u, i in zip(calls, fresh, strict=True)))
            case ToolReturned(id_) if (
                place := next((n for n, (was, _) in enumerate(renamed) if was == id_), None)
            ) is not None:
                yield replace(message, id=renamed.pop(place)[1])
            case _:
                yield message


def _fresh(given: str, other: str, taken: set[str]) -> str:
    chosen = given if _ID.fullmatch(given) and given not in taken else other
    while chosen in taken:
        chosen += "_"
    taken.add(chosen)
    return chosen


def _turns(messages: Iterable[Message]) -> Iterator[Answered | list[Said | ToolReturned]]:
    ours: list[Said | ToolReturned] = []
    for message in messages:
        if not isinstance(message, Answered):
            ours.append(message)
            continue
        yield from _ordered(ours)
        yield message
        ours = []
    yield from _ordered(ours)


def _ordered(ours: list[Said | ToolReturned]) -> Iterator[list[Said | ToolReturned]]:
    """Put tool results first: both APIs refuse words of ours between a tool use and its result."""
    if ours:
        yield sorted(ours, key=lambda message: isinstance(message, Said))


def _ours(message: Said | ToolReturned) -> ModelRequestPart:
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart

    match message:
        case Said(text):
            return UserPromptPart(text)
        case ToolReturned(id, name, content, is_error):
            return ToolReturnPart(name, content, id, outcome="failed" if is_error else "success")


def _answered(message: Answered) -> ModelResponse:
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

    # Providers refuse a text block without text.
    text = [TextPart(message.text)] if message.text.strip() else []
    calls = [ToolCallPart(use.name, cast("dict[str, Any]", use.arguments), use.id) for use in message.calls]
    return ModelResponse([*text, *calls])


def _bad_ending(call: ModelCall, stop: str, why: str) -> _Problem | None:
    match _ENDINGS.get(stop):
        case "whole":
            return None
        case "cut":
            return "malformed", "cut_off", f"it was cut off by {stop} (max_tokens was {call.max_tokens})"
        case "refused":
            return "permanent", "refused", clean(f"{call.model} refused to answer{': ' if why else ''}{why}")
        case None:
            return "malformed", "no_stop_reason", f"its end was not seen (stop reason {stop!r})"


def _bad_content(call: ModelCall, text: str, calls: tuple[ToolUse, ...] | str) -> _Problem | None:
    if isinstance(calls, str):
        return "malformed", "bad_arguments", clean(calls)
    if len(calls) > MOST_CALLS:
        return "malformed", "too_many_calls", f"it used more than {MOST_CALLS} tools at once"
    if len(text) > LARGEST or (len(calls) > 1 and len(dumps([use.arguments for use in calls])) > LARGEST):
        return "malformed", "too_long", f"it is longer than {LARGEST} characters"
    if call.must_use_tool and not calls:
        return "malformed", "no_tool", f"it used no tool, and one of {[t.name for t in call.tools]} was expected"
    if not calls and not text.strip():
        return "malformed", "empty", "it was empty"
    return None


def _text(response: ModelResponse) -> str:
    # Of a type of content that the SDK does not know it makes a text without text.
    from pydantic_ai.messages import TextPart

    said = (_any(part.content) for part in response.parts if isinstance(part, TextPart))
    return "".join(text for text in said if isinstance(text, str)).encode("utf-8", "replace").decode()


def _any(given: object) -> object:
    # The SDKs do not check what they are sent against the types they declare.
    return given


def _word(given: object) -> str:
    return clean(given) if isinstance(given, str) else ""


def _tool_uses(parts: Sequence[ToolCallPart], offered: Collection[str]) -> tuple[ToolUse, ...] | str:
    """Read tool uses, or say which one cannot be read."""
    uses: list[ToolUse] = []
    for part in parts[: MOST_CALLS + 1]:
        name, given = _any(part.tool_name), _any(part.tool_call_id)
        if not isinstance(name, str) or not (name in offered or _NAME.fullmatch(name)):
            return f"the name of a tool it used is no name: {name!r}"
        try:
            uses.append(ToolUse(given if isinstance(given, str) else "", name, parse_object(part.args)))
        except ValueError as error:
            return f"the arguments of {part.tool_name!r} are not a whole JSON object: {error}"
    return tuple(uses)
