"""Changes variables of an environment file as text: what systemd's `EnvironmentFile=`, a shell and Docker read as `NAME=value`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trimtab.core.json_text import BOM, Held

_NAME = re.compile(r"[ \t]*((?:export[ \t]+)?)([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]*")
# A backslash takes the next character with it, a line's end too. What stands behind a space is not ours: it may be a comment.
_WORD = re.compile(r"""(?:[^\s"'\\]|\\(?:\r\n|[\s\S])|"(?:[^"\\]|\\[\s\S])*"|'[^']*')*""")
_REST = re.compile(r"(?:[^\n\\]|\\(?:\r\n|[\s\S])|\\\Z)*\n?")
_PART = re.compile(r"""\\(\r\n|[\s\S])|"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|([^\s"'\\]+)""")
_NEEDS_ESCAPE, _ESCAPED = re.compile(r'["\\`$]'), r"\\\g<0>"
_ESCAPE = re.compile(r"\\(\r\n|[\s\S])")


class BadEnvError(ValueError):
    """The text has a quote that is not closed; the message names the line."""


@dataclass(frozen=True, slots=True)
class _Variable:
    """One assignment: its name, whether it is exported, its value as written, and where it, and its lines, stand."""

    name: str
    exported: bool
    raw: str
    value_start: int
    value_end: int
    start: int
    end: int


def held(text: str | None, path: tuple[str, ...]) -> Held:
    """Say what a variable is set to, as written; the last that sets it counts. Raises BadEnvError."""
    found = [variable for variable in _variables(text or "") if variable.name == path[0]]
    return Held(found[-1].raw if found else None, 0)


def put(text: str | None, path: tuple[str, ...], raw: str) -> str:
    """Give the text with a variable set to a value, given as written. Raises BadEnvError."""
    text = text or ""
    every = [*_variables(text)]
    found = [variable for variable in every if variable.name == path[0]]
    if found:
        return text[: found[-1].value_start] + raw + text[found[-1].value_end :]
    line = "\r\n" if "\r\n" in text else "\n"
    export = "export " if every and all(variable.exported for variable in every) else ""
    return f"{text}{'' if not text.strip(BOM) or text.endswith(chr(10)) else line}{export}{path[0]}={raw}{line}"


def put_back(text: str | None, path: tuple[str, ...], was: Held) -> str | None:
    """Give the text with a variable as it was held before. Raises BadEnvError."""
    if was.raw is not None:
        return put(text, path, was.raw)
    for variable in reversed([*_variables(text or "")]):
        if variable.name == path[0]:
            text = (text or "")[: variable.start] + (text or "")[variable.end :]
    return text


def value(raw: str) -> str:
    """Read a value: without its quotes and escapes."""
    return "".join(_read(match) for match in _PART.finditer(raw))


def written(given: str, like: str | None) -> str:
    """Write a value, in quotes where the one before was."""
    quote = like[:1] if like and like[:1] in {'"', "'"} else "" if _PLAIN.fullmatch(given) else '"'
    if quote == "'" and "'" not in given:
        return f"'{given}'"
    return f'"{_NEEDS_ESCAPE.sub(_ESCAPED, given)}"' if quote else given


def _variables(text: str) -> Iterator[_Variable]:
    at = 1 if text.startswith(BOM) else 0
    while at < len(text):
        start, begins = at, _NAME.match(text, at)
        if begins is None:
            # A comment, an empty line, or something that those who read the file do not read either.
            at = (text.find("\n", at) + 1) or len(text)
            continue
        word = _WORD.match(text, begins.end())
        assert word
        if text[word.end() : word.end() + 1] in {'"', "'"}:
            message = f"line {text.count(chr(10), 0, word.end()) + 1}: a quote that is not closed"
            raise BadEnvError(message)
        rest = _REST.match(text, word.end())
        at = rest.end() if rest else len(text)
        yield _Variable(begins[2], bool(begins[1]), word[0], word.start(), word.end(), start, at)


def _read(part: re.Match[str]) -> str:
    escaped, double, single, plain = part.groups()
    if escaped is not None:
        return _unescaped(escaped)
    if double is not None:
        # Only these need a backslash within quotes; before anything else it is meant.
        return _ESCAPE.sub(lambda found: _unescaped(found[1]) if found[1] in '"\\$`\n\r\n' else found[0], double)
    return single if single is not None else plain


def _unescaped(character: str) -> str:
    return "" if character in {"\n", "\r\n"} else character
