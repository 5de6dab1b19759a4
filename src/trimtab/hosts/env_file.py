"""Reads a file of `NAME=VALUE` lines about as systemd does (systemd.exec(5), EnvironmentFile=)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)
_QUOTES = "'\""


def variables(text: str) -> Mapping[str, str]:
    """Give what each line sets; lines that set nothing are left out, as systemd leaves them out. Values are on one line here."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.lstrip()[:1] in {"#", ";"} or not (match := _LINE.fullmatch(line)):
            continue
        value = match[2].strip()
        if len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0]:
            value = value[1:-1]
        found[match[1]] = value
    return found
