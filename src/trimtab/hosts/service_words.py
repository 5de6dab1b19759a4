"""Writes paths and command lines as unit files have them: spaces, quotes, `%` and `$` mean themselves (systemd.syntax(7))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from trimtab.core.errors import UsageError

_PLAIN = re.compile(r"[\w@+=:,./-]+", re.ASCII)
_GLOB = re.compile(r"[*?\[\]{}\\]")


def command_line(words: Sequence[str]) -> str:
    """Write a command for `ExecStart=`. Raises UsageError for what no unit file can say."""
    program, *arguments = words
    # `$` is special in arguments alone: the program may not be a variable, and would keep a second one.
    return " ".join([_word(program), *(_word(argument).replace("$", "$$") for argument in arguments)])


def path_list(paths: Sequence[Path]) -> str:
    """Write paths for a setting that takes several, such as `ReadWritePaths=`."""
    return " ".join(_word(str(path)) for path in paths)


def lone_path(path: Path) -> str:
    """Write a path for a setting that takes one to the end of the line, such as `WorkingDirectory=`: quotes would be part of it."""
    text = sayable(str(path))
    if text != text.strip() or text.endswith("\\"):
        raise UsageError(f"{text!r}: a unit file cannot name a folder that ends so", hint="rename it")
    return text.replace("%", "%%")


def lone_file(path: Path) -> str:
    """Write a path for `EnvironmentFile=`, which is a pattern of paths."""
    if found := _GLOB.search(str(path)):
        raise UsageError(f"{str(path)!r}: systemd reads {found[0]!r} there as a pattern", hint="rename it")
    return lone_path(path)


def sayable(text: str) -> str:
    """Give a text back that a unit file can hold on one line. Raises UsageError where it cannot."""
    # A path that is no UTF-8 has characters in it that cannot be encoded.
    if any(ord(c) < ord(" ") or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text):
        raise UsageError(f"{text!r}: a unit file takes no control characters, and only UTF-8", hint="rename it")
    return text


def _word(text: str) -> str:
    said = sayable(text).replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return said
    escaped = said.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
