"""JSON read strictly: what a lenient reader would cut, repair or guess is refused instead."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from trimtab.core.values import Json

Kind: TypeAlias = Literal["anthropic", "openai"]


class BrokenBodyError(ValueError):
    """A response said 200 and its body is no whole answer."""


class RedirectedError(ValueError):
    """The provider points elsewhere instead of answering."""


LARGEST = 256 * 1024

# Where an answer stands in a body, its JSON type, and how many items it must have.
_ANSWER: Mapping[Kind, Sequence[tuple[str, type, int]]] = {
    "anthropic": (("content", list, 0), ("usage", dict, 1)),
    "openai": (("choices", list, 1),),
}


def parse(text: str | bytes) -> Json:
    """Parse whole JSON; raise ValueError on NaN, infinity, a doubled key, text that is not Unicode, or absurd nesting."""
    try:
        value = json.loads(text, object_pairs_hook=_no_doubled_keys, parse_constant=_no_constant)
        _check_writable(value)
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None
    return value


def parse_object(raw: object) -> dict[str, Json]:
    """Give the JSON object in `raw`, which is its text or what a parser of whole JSON made of it; else ValueError.

    One of more than `LARGEST` bytes is refused: whatever is taken from a model is journaled and shown to it again.
    """
    value = parse(raw) if isinstance(raw, str) else cast("Json", raw)
    if not isinstance(value, dict):
        message = f"a JSON object was expected, not {_json_type(value)}"
        raise ValueError(message)  # noqa: TRY004 - callers tell bad JSON by ValueError, whatever is bad about it
    try:
        size = _check_writable(value)
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None
    if size > LARGEST:
        message = f"it has {size} bytes, {LARGEST} are allowed"
        raise ValueError(message)
    return value


def check_body(kind: Kind, content: bytes) -> None:
    """Raise BrokenBodyError where the body of a 2xx is not whole, strict JSON with an answer in it.

    The SDKs parse a body leniently (doubled keys, NaN) and hand on what has none of the fields they promise.
    """
    try:
        body = parse(content)
    except ValueError as error:
        raise BrokenBodyError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BrokenBodyError(f"the body is {_json_type(body)}, not an object")
    for field, of_type, least in _ANSWER[kind]:
        part = body.get(field)
        if not isinstance(part, of_type) or len(cast("list[Any]", part)) < least:
            raise BrokenBodyError(f"the body has no {field!r}{_told(body)}")


def _told(body: Mapping[str, Any]) -> str:
    match body:
        case {"error": {"message": str(text)}} | {"error": str(text)}:
            return f": {text}"
        case _:
            return ""


def _no_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        message = f"the key {next(n for n in names if names.count(n) > 1)!r} is there twice"
        raise ValueError(message)
    return found


def _no_constant(name: str) -> Json:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _check_writable(value: object) -> int:
    """Raise ValueError for what Python reads and no journal can write: 1e999, half a surrogate pair. Gives its size in bytes."""
    return len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a number"
