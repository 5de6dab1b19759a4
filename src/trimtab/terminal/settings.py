"""Reads one settings file as the terminal does: what it takes from it, and what makes it drop an entry, a key or the whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from trimtab.core.finding import Finding
from trimtab.terminal.settings_types import Misfit, misfits
from trimtab.terminal.versions import NEWEST, Known, nearest

Scope: TypeAlias = Literal["user", "project", "local", "managed", "flag"]

# Keys that look as if they set the model, and do nothing; spelled without case and punctuation.
_NO_MODEL = frozenset(
    {"defaultmodel", "models", "modelname", "modelid", "defaultmodelid", "primarymodel", "mainmodel", "claudemodel"}
    | {"model", "modle", "mdoel", "modell", "anthropicmodel", "preferredmodel", "modeldefault"}
)
_DEEPEST = 64
_RULES = ("allow", "deny", "ask")
_TOKEN = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|[{}\[\],:]')
_COMMA = "a comma behind the last entry, which JSON does not have"
_HOLLOW: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the terminal takes from a file (None: it drops it whole), and what is wrong with the file.

    `closed`: the file is managed and cannot be read, so that the terminal does not start at all.
    """

    values: Mapping[str, Any] | None
    problems: tuple[Finding, ...] = ()
    closed: bool = False


def parse(text: bytes, where: str, scope: Scope, version: str = "") -> Parsed:
    """Read a settings file. `where` is the path that problems name; never raises, whatever the bytes are."""
    content = _shallow(_decoded(text))
    if not content.strip():
        return Parsed(_HOLLOW)
    try:
        values: object = json.loads(content, parse_constant=_refuse, parse_int=_whole)
    except json.JSONDecodeError as error:
        said = _fault(error, content)
        return _dropped(where, said, scope, version)
    except (ValueError, RecursionError) as error:
        return _dropped(
            where, f"line 1: {error}" if isinstance(error, ValueError) else "line 1: nested too deep", scope, version
        )
    if not isinstance(values, dict):
        return _dropped(where, f"line 1: expected an object, not {shown(values)}", scope, version)
    return _checked(cast("dict[str, Any]", values), content, where, scope, nearest(version or NEWEST))


def place_of(content: str, path: tuple[str, ...]) -> str:
    """Say at which line and column of a JSON text the key of a path stands; the last of equal keys, as that one counts."""
    stack: list[str] = []
    key, is_key, found = "", True, None
    for token in _TOKEN.finditer(content):
        match token[0]:
            case "{" | "[":
                stack.append(key)
                is_key, key = token[0] == "{", ""
            case "}" | "]":
                key, is_key = (stack.pop(), False) if stack else ("", False)
            case ",":
                is_key = True
            case ":":
                is_key = False
            case quoted if is_key:
                key = _unquoted(quoted)
                if (*stack[1:], key) == path:
                    found = token.start()
            case _:
                pass
    if found is None:
        return ""
    line = content.count("\n", 0, found) + 1
    return f"line {line}, column {found - content.rfind(chr(10), 0, found)}"


def shown(value: object) -> str:
    """Write a value's kind as a message may: never the value itself, which may be secret."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _decoded(text: bytes) -> str:
    # The terminal knows the mark of little-endian UTF-16, and reads everything else as UTF-8 whatever it is.
    return (
        text[2:].decode("utf-16-le", "replace") if text.startswith(b"\xff\xfe") else text.decode("utf-8-sig", "replace")
    )


def _shallow(content: str) -> str:
    """Take out what is nested deeper than the terminal reads, so that it counts as null and not as an error."""
    depth, start, cut, kept = 0, -1, 0, list[str]()
    for token in _TOKEN.finditer(content):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if start < 0 and depth > _DEEPEST and token[0] in "{[":
            start = token.start()
        elif start >= 0 and depth == _DEEPEST:
            kept += [content[cut:start], "null"]
            start, cut = -1, token.end()
    return "".join([*kept, content[cut:]]) if kept else content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _whole(digits: str) -> int | float:
    # As the terminal: every number is a double, and no number is too long.
    return int(digits) if len(digits) < 16 else float(digits)  # noqa: PLR2004 - digits a double holds


def _unquoted(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]


def _fault(error: json.JSONDecodeError, content: str) -> str:
    """Say what is wrong and where; a comma too many is named where it stands, not where the next thing is."""
    said, at = _said(error, content), error.pos
    if said == _COMMA and not content.startswith(",", at):
        at = content.rindex(",", 0, at)
    return f"line {content.count(chr(10), 0, at) + 1}, column {at - content.rfind(chr(10), 0, at)}: {said}"


def _said(error: json.JSONDecodeError, content: str) -> str:
    rest = content[error.pos :].lstrip()
    before = content[: error.pos].rstrip()
    if rest.startswith(("//", "/*", "#")):
        return "a comment, which JSON does not have"
    if rest[:1] in {"}", "]"} and before.endswith(","):
        return _COMMA
    if not rest:
        return "the file ends in the middle"
    return error.msg[:1].lower() + error.msg[1:]


def _dropped(where: str, said: str, scope: Scope, version: str) -> Parsed:
    closed = scope == "managed" and nearest(version or NEWEST).closes
    why = (
        "a managed file that cannot be read stops the terminal: no session starts"
        if closed
        else "the terminal drops the whole file, every key of it, and a session that is not looked at says nothing"
    )
    found = Finding(f"not strict JSON: {said}", where, why, f"edit {where}: mend that line", "error")
    return Parsed(None, (found,), closed)


def _checked(values: dict[str, Any], content: str, where: str, scope: Scope, known: Known) -> Parsed:
    # An older terminal goes without a hook it cannot read, and keeps the file.
    wrong = [misfit for misfit in misfits(values) if known.closes or misfit.path[0] != "hooks"]
    found = [_misfit(misfit, content, where, scope) for misfit in wrong]
    found += _entries(values, content, where)
    found += [_does_nothing(key, content, where) for key in values if _is_no_model(key)]
    if wrong and scope != "managed":
        # A sandbox that was asked for on the command line and cannot be read stops the terminal.
        closed = known.closes and scope == "flag" and any(misfit.path[0] == "sandbox" for misfit in wrong)
        return Parsed(None, tuple(found), closed)
    if wrong:
        bad = {misfit.path[0] for misfit in wrong}
        kept = {key: value for key, value in values.items() if key not in bad}
        # A list that cannot be read allows nothing, so that a slip of the administrator's opens no door.
        return Parsed({**kept, "availableModels": []} if "availableModels" in bad else kept, tuple(found))
    return Parsed(values, tuple(found))


def _misfit(misfit: Misfit, content: str, where: str, scope: Scope) -> Finding:
    key = ".".join(misfit.path)
    at = place_of(content, misfit.path) or place_of(content, misfit.path[:-1]) or "line 1"
    what = f"{at}: {key!r}: expected {misfit.expected}, not {shown(misfit.value)}"
    if scope == "managed":
        why = "the terminal ignores this key and keeps the rest of the managed file"
        return Finding(what, where, why, f"edit {where}: mend {key!r}", "error")
    why = "one key of a wrong type makes the terminal drop the whole file, its model too"
    return Finding(what, where, why, f"edit {where}: mend {key!r} or take it out", "error")


def _entries(values: Mapping[str, Any], content: str, where: str) -> list[Finding]:
    permissions = values.get("permissions")
    if not isinstance(permissions, dict):
        return []
    rules = cast("dict[str, Any]", permissions)
    return [
        Finding(
            f"{place_of(content, ('permissions', name)) or 'line 1'}: 'permissions.{name}' holds {_rule(entry)}",
            where,
            "the terminal takes this entry out and keeps the file",
            f"edit {where}: mend the entry",
        )
        for name in _RULES
        if isinstance(rules.get(name), list)
        for entry in rules[name]
        if _is_bad_rule(entry)
    ]


def _is_bad_rule(entry: object) -> bool:
    return not isinstance(entry, str) or not entry.strip() or ("(" in entry) != entry.rstrip().endswith(")")


def _rule(entry: object) -> str:
    return "a rule that cannot be read" if isinstance(entry, str) else f"{shown(entry)} where a rule was expected"


def _is_no_model(key: str) -> bool:
    return key != "model" and re.sub(r"[^a-z]", "", key.lower()) in _NO_MODEL


def _does_nothing(key: str, content: str, where: str) -> Finding:
    at = place_of(content, (key,)) or "line 1"
    why = "the terminal has no such key: it ignores it without a word and uses another model"
    return Finding(f"{at}: {key!r} does nothing", where, why, f"edit {where}: call the key 'model'", "error")
