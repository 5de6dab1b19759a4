"""Reads the head of a subagent's file: the few forms of YAML in which people write a name, a description and a model."""

from __future__ import annotations

import json
import re
from typing import Any, cast

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_KEY = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[^\s:#'"{\[][^:]*?)[ \t]*:(?:[ \t]+(?P<rest>.*))?$""")
_NO_TEXT = re.compile(r"~|null|true|false|[-+]?(\d[\d_]*)?\.?\d+(e[-+]?\d+)?|[-+]?\.(inf|nan)", re.IGNORECASE)


def read_front(text: str) -> dict[str, str]:
    """Read the keys of the outermost level that hold text; what is no text (a number, a list, null) is left out.

    Lenient where YAML is not: a colon or a bracket in a description does not spoil the other keys, in the terminal neither.
    """
    front = _FRONT.match(text.replace("\r\n", "\n"))
    if front is None:
        return {}
    if front[1].lstrip().startswith("{"):
        return _json(front[1])
    found: dict[str, str | None] = {}
    lines = [line for line in front[1].split("\n") if line.strip() and not line.lstrip().startswith("#")]
    base = _indent(lines[0]) if lines else 0
    for at, line in enumerate(lines):
        if _is_below(line, base):
            continue
        key = _KEY.match(line.strip())
        if key is None:
            # Neither a key nor what belongs to one: the terminal takes nothing from such a head.
            return {}
        found[_unquoted(key["key"])] = _value((key["rest"] or "").strip(), _below(lines[at + 1 :], base))
    return {key: value for key, value in found.items() if value is not None}


def _below(lines: list[str], base: int) -> list[str]:
    """Take the lines that belong to the key above them."""
    taken = next((at for at, line in enumerate(lines) if not _is_below(line, base)), len(lines))
    return [line.strip() for line in lines[:taken]]


def _is_below(line: str, base: int) -> bool:
    return _indent(line) > base or line.lstrip().startswith("- ")


def _value(rest: str, below: list[str]) -> str | None:
    if rest[:1] in {"|", ">"}:
        return " ".join(below)
    text = " ".join(part for part in (rest, *below) if part)
    if text[:1] in {'"', "'"}:
        return _unquoted(text)
    bare = re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
    # A list, an object, or the name of another value: no text.
    if not bare or bare[0] in "[{*" or bare.startswith("- ") or _NO_TEXT.fullmatch(bare):
        return None
    return bare


def _unquoted(text: str) -> str:
    quote = text[:1]
    if quote not in {'"', "'"}:
        return text
    end = text.find(quote, 1)
    return text[1:end] if end > 0 else text[1:]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _json(text: str) -> dict[str, str]:
    try:
        held: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(key): value for key, value in cast("dict[Any, Any]", held).items() if isinstance(value, str)}
