"""Changes a settings file as text: what is not changed keeps every byte, so that key order, layout and numbers stay as they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, NoReturn

from trimtab.core.errors import UsageError
from trimtab.core.values import Json

_SPACE = " \t\r\n"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Member:
    """A top-level `"key": value`: its key, its value as written, and where both stand (offsets into the text)."""

    key: str
    raw: str
    start: int
    key_end: int
    value_start: int
    value_end: int


@dataclass(frozen=True, slots=True)
class Edit:
    """What a file holds and what it would hold; None: there is no file."""

    old_text: str | None
    new_text: str | None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.old_text != self.new_text

    def diff(self, where: str, mask: Callable[[str], str] = str) -> str:
        """Give the unified diff, empty where nothing changes. `mask` hides what must not be printed, and is given whole texts."""
        from difflib import unified_diff

        # Lines end where JSON's do: `splitlines` would end them at every separator that Unicode has.
        old, new = (list(StringIO(mask(text or ""), newline="\n")) for text in (self.old_text, self.new_text))
        was, will = ("/dev/null" if text is None else where for text in (self.old_text, self.new_text))
        lines = unified_diff(old, new, was, will)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def plan_edit(text: str | None, changes: Mapping[str, Json], where: str = "settings.json") -> Edit:
    """Plan to give top-level keys these values; None takes a key away, for null is never written.

    A key that has its value already is left as it is. Raises UsageError where `text` is not one JSON object.
    """
    raws = {key: None if value is None else _written(value) for key, value in changes.items()}
    held = _members(text or "", where)[0]
    wanted = {key: raw for key, raw in raws.items() if not _same(raw, _last(held, key))}
    return Edit(text, splice(text, wanted, where))


def splice(text: str | None, raws: Mapping[str, str | None], where: str = "settings.json") -> str | None:
    """Give the text with top-level keys changed to these values, given as JSON; None takes a key away. Raises UsageError."""
    for key, raw in raws.items():
        text = _without(text, key, where) if raw is None else _with(text, key, raw, where)
    return text


def raw_values(text: str | None, where: str = "settings.json") -> dict[str, str]:
    """Give the top-level keys with their values as written; of a key that stands twice the last counts, as it does for the terminal."""
    return {member.key: member.raw for member in _members(text or "", where)[0]}


def take_back(
    current: str | None, previous: str | None, written: str | None, where: str
) -> tuple[Edit, tuple[str, ...]]:
    """Plan to take back of `current` what led from `previous` to `written`, key by key, where all else may have changed since.

    Gives with it the keys that somebody changed again since then: those are left as they are.
    """
    before, after, now = (raw_values(text, where) for text in (previous, written, current))
    touched = [key for key in {**before, **after} if not _same(before.get(key), after.get(key))]
    ours = {key: before.get(key) for key in touched if _same(now.get(key), after.get(key))}
    lost = tuple(k for k in touched if k not in ours and not _same(now.get(k), before.get(k)))
    text = splice(current, ours, where)
    empty = previous is None and text is not None and not raw_values(text, where)
    return Edit(current, None if ours and empty else text), lost


def _with(text: str | None, key: str, raw: str, where: str) -> str:
    members, opened, closed = _members(text or "", where)
    if text is None or opened < 0:
        return f"{text if text == _BOM else ''}{{\n  {json.dumps(key)}: {raw}\n}}\n"
    if same := [member for member in members if member.key == key]:
        return text[: same[-1].value_start] + raw + text[same[-1].value_end :]
    if not members:
        line = "\r\n" if "\r\n" in text else "\n"
        return f"{text[: opened + 1]}{line}  {json.dumps(key)}: {raw}{line}{text[closed:]}"
    last = members[-1]
    # The new one stands below the last as the last stands below the one before it.
    lead = text[len(text[: last.start].rstrip(_SPACE)) : last.start]
    colon = text[last.key_end : last.value_start]
    return f"{text[: last.value_end]},{lead}{json.dumps(key)}{colon}{raw}{text[last.value_end :]}"


def _without(text: str | None, key: str, where: str) -> str | None:
    while text is not None:
        members, opened, closed = _members(text, where)
        at = next((n for n, member in enumerate(members) if member.key == key), None)
        if at is None:
            break
        if at + 1 < len(members):
            text = text[: members[at].start] + text[members[at + 1].start :]
        elif at:
            text = text[: members[at - 1].value_end] + text[members[at].value_end :]
        else:
            text = text[: opened + 1] + text[closed:]
    return text


def _members(text: str, where: str) -> tuple[list[Member], int, int]:
    """Give the members and where the braces stand; a text without anything in it has none (-1)."""
    at = _skip(text, 1 if text.startswith(_BOM) else 0)
    if at == len(text):
        return [], -1, -1
    if text[at] != "{":
        _refuse(text, at, "expected one JSON object in braces", where)
    opened, members = at, list[Member]()
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}" or members:
        if text[at : at + 1] != '"':
            _refuse(text, at, "expected a key in double quotes", where)
        key, key_end = _value(text, at, where)
        colon = _skip(text, key_end)
        if text[colon : colon + 1] != ":":
            _refuse(text, colon, "expected ':' after a key", where)
        value_start = _skip(text, colon + 1)
        _, value_end = _value(text, value_start, where)
        members.append(Member(str(key), text[value_start:value_end], at, key_end, value_start, value_end))
        at = _skip(text, value_end)
        if text[at : at + 1] == "}":
            break
        if text[at : at + 1] != ",":
            _refuse(text, at, "expected ',' or '}'", where)
        at = _skip(text, at + 1)
    if (end := _skip(text, at + 1)) < len(text):
        _refuse(text, end, "expected nothing behind the closing brace", where)
    return members, opened, at


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _value(text: str, at: int, where: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        _refuse(text, error.pos, error.msg[:1].lower() + error.msg[1:], where)
    except (ValueError, RecursionError) as error:
        _refuse(text, at, "a value is too deep" if isinstance(error, RecursionError) else str(error), where)


def _no_number(word: str) -> NoReturn:
    message = f"{word} is not JSON"
    raise ValueError(message)


def _number(digits: str) -> tuple[str]:
    # Compared as written, whatever its size; and no string is equal to it.
    return (digits,)


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_int=_number, parse_float=_number)  # pyright: ignore[reportArgumentType]


def _refuse(text: str, at: int, expected: str, where: str) -> NoReturn:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    before = text[:at].rstrip(_SPACE)
    match text[at : at + 1], before[-1:]:
        case (("}" | "]"), ","):
            expected = "a comma with nothing behind it"
        case (("/" | "#"), _):
            expected = "a comment, which JSON does not have"
        case "", _:
            expected = f"the file ends too early: {expected}"
        case _:
            pass
    hint = "the terminal drops the whole file because of this: mend that line, then say it again"
    raise UsageError(f"{where}: line {line}, column {column}: {expected}", hint=hint)


def _written(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _last(members: list[Member], key: str) -> str | None:
    return next((member.raw for member in reversed(members) if member.key == key), None)


def _same(one: str | None, other: str | None) -> bool:
    """Whether two values as written are the same value."""
    if one is None or other is None:
        return one is other
    return one == other or _DECODER.decode(one) == _DECODER.decode(other)
