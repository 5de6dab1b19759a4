"""Changes values of a JSON object as text: what is not changed keeps every byte, so that key order, layout and numbers stay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from trimtab.core.values import Json

SPACE = " \t\r\n"
BOM = "\ufeff"


class BadJsonError(ValueError):
    """The text is not one JSON object, or has something else where an object was expected; the message names the line."""


@dataclass(frozen=True, slots=True)
class Member:
    """A `"key": value` of an object: its key, its value as written, and where both stand (offsets into the text)."""

    key: str
    raw: str
    start: int
    key_end: int
    value_start: int
    value_end: int


@dataclass(frozen=True, slots=True)
class Block:
    """An object of the text: its members, and where its braces stand (-1: the text has nothing in it)."""

    members: tuple[Member, ...]
    opened: int
    closed: int

    def last(self, key: str) -> Member | None:
        """Give the member of a key; of a key that stands twice the last counts, as it does for readers."""
        return next((member for member in reversed(self.members) if member.key == key), None)


@dataclass(frozen=True, slots=True)
class Held:
    """What stood at a path: the value as written (None: nothing), and how many keys on the way to it were there."""

    raw: str | None
    depth: int


def block(text: str) -> Block:
    """Read the object that a text is. Raises BadJsonError."""
    at = _skip(text, 1 if text.startswith(BOM) else 0)
    if at == len(text):
        return Block((), -1, -1)
    if text[at] != "{":
        refuse(text, at, "expected one JSON object in braces")
    found = _block(text, at)
    if (end := _skip(text, found.closed + 1)) < len(text):
        refuse(text, end, "expected nothing behind the closing brace")
    return found


def held(text: str | None, path: Sequence[str]) -> Held:
    """Say what stands at a path of keys. Raises BadJsonError."""
    *_, (inner, depth) = _way(text or "", path)
    member = inner.last(path[-1]) if depth == len(path) - 1 else None
    return Held(None if member is None else member.raw, depth)


def put(text: str | None, path: Sequence[str], raw: str) -> str:
    """Give the text with a value, given as JSON, at a path of keys; objects on the way are made. Raises BadJsonError."""
    *_, (inner, depth) = _way(text or "", path)
    for key in reversed(path[depth + 1 :]):
        raw = f"{{{json.dumps(key)}: {raw}}}"
    return _with(text, inner, path[depth], raw, nested=depth > 0)


def drop(text: str | None, path: Sequence[str], keep: int | None = None) -> str | None:
    """Give the text without what stands at a path of keys. Raises BadJsonError.

    keep: so many keys on the way stay even where nothing is left in them (None: all of them).
    """
    for depth in range(len(path) - 1, -1 if keep is None else keep - 1, -1):
        text = _without(text, path[: depth + 1], emptied=depth < len(path) - 1)
        if keep is None:
            break
    return text


def put_back(text: str | None, path: Sequence[str], was: Held) -> str | None:
    """Give the text with a path as it was held before: `put`, or `drop` with the objects that were made for it."""
    return drop(text, path, was.depth) if was.raw is None else put(text, path, was.raw)


def same(one: str | None, other: str | None) -> bool:
    """Whether two values as written are the same value."""
    if one is None or other is None:
        return one is other
    return one == other or _DECODER.decode(one) == _DECODER.decode(other)


def written(value: Json) -> str:
    """Write a value as `put` takes it."""
    return json.dumps(value, ensure_ascii=False)


def refuse(text: str, at: int, expected: str) -> NoReturn:
    """Say where a text is not what was expected. Raises BadJsonError."""
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    before = text[:at].rstrip(SPACE)
    match text[at : at + 1], before[-1:]:
        case (("}" | "]"), ","):
            expected = "a comma with nothing behind it"
        case (("/" | "#"), _):
            expected = "a comment, which JSON does not have"
        case "", _:
            expected = f"the file ends too early: {expected}"
        case _:
            pass
    message = f"line {line}, column {column}: {expected}"
    raise BadJsonError(message)


def _way(text: str, path: Sequence[str]) -> Iterator[tuple[Block, int]]:
    """Give the objects on the way to the last key of a path, as far as they are there, each with how many keys led to it."""
    here = block(text)
    yield here, 0
    for depth, key in enumerate(path[:-1], start=1):
        member = here.last(key)
        if member is None:
            return
        if text[member.value_start] != "{":
            refuse(text, member.value_start, f"expected an object in {'.'.join(path[:depth])!r}")
        here = _block(text, member.value_start)
        yield here, depth


def _with(text: str | None, here: Block, key: str, raw: str, *, nested: bool) -> str:
    if text is None or here.opened < 0:
        return f"{text if text == BOM else ''}{{\n  {json.dumps(key)}: {raw}\n}}\n"
    if there := here.last(key):
        return text[: there.value_start] + raw + text[there.value_end :]
    if not here.members:
        line = "" if nested else "\r\n  " if "\r\n" in text else "\n  "
        return f"{text[: here.opened + 1]}{line}{json.dumps(key)}: {raw}{line.rstrip(' ')}{text[here.closed :]}"
    last = here.members[-1]
    # The new one stands below the last as the last stands below the one before it.
    lead = text[len(text[: last.start].rstrip(SPACE)) : last.start]
    colon = text[last.key_end : last.value_start]
    return f"{text[: last.value_end]},{lead}{json.dumps(key)}{colon}{raw}{text[last.value_end :]}"


def _without(text: str | None, path: Sequence[str], *, emptied: bool) -> str | None:
    """Take every member of the last key away; `emptied`: only where it is an object with nothing in it."""
    while text is not None:
        *_, (here, depth) = _way(text, path)
        at = next((n for n, member in enumerate(here.members) if member.key == path[-1]), None)
        if depth < len(path) - 1 or at is None:
            break
        members = here.members
        if emptied and not same(members[at].raw, "{}"):
            break
        if at + 1 < len(members):
            text = text[: members[at].start] + text[members[at + 1].start :]
        elif at:
            text = text[: members[at - 1].value_end] + text[members[at].value_end :]
        else:
            text = text[: here.opened + 1] + text[here.closed :]
    return text


def _block(text: str, opened: int) -> Block:
    members = list[Member]()
    at = _skip(text, opened + 1)
    while text[at : at + 1] != "}" or members:
        if text[at : at + 1] != '"':
            refuse(text, at, "expected a key in double quotes")
        key, key_end = _value(text, at)
        colon = _skip(text, key_end)
        if text[colon : colon + 1] != ":":
            refuse(text, colon, "expected ':' after a key")
        value_start = _skip(text, colon + 1)
        _, value_end = _value(text, value_start)
        members.append(Member(str(key), text[value_start:value_end], at, key_end, value_start, value_end))
        at = _skip(text, value_end)
        if text[at : at + 1] == "}":
            break
        if text[at : at + 1] != ",":
            refuse(text, at, "expected ',' or '}'")
        at = _skip(text, at + 1)
    return Block(tuple(members), opened, at)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        refuse(text, error.pos, error.msg[:1].lower() + error.msg[1:])
    except (ValueError, RecursionError) as error:
        refuse(text, at, "a value is too deep" if isinstance(error, RecursionError) else str(error))


def _no_number(word: str) -> NoReturn:
    message = f"{word} is not JSON"
    raise ValueError(message)


def _number(digits: str) -> tuple[str]:
    # Compared as written, whatever its size; and no string is equal to it.
    return (digits,)


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_int=_number, parse_float=_number)  # pyright: ignore[reportArgumentType]
