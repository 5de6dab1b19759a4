"""Reads TOML files as strictly as a policy is read: whatever is wrong is one error that names the file and the place."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from trimtab.core.errors import PolicyError

_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)


def read_text(path: Path, *, hint: str) -> str:
    """Read a file of UTF-8 text; `hint` says what to do where there is none. Raises PolicyError."""
    source = str(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PolicyError(f"{source}: no such file", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PolicyError(f"{source}: cannot be read: {reason}", hint="check the path and who may read it") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"{source}: line {line}: not UTF-8 text", hint="save the file as UTF-8") from None


def read_tables(text: str, source: str) -> dict[str, Any]:
    """Parse TOML; numbers with a point become `Decimal`. `source` is the path that errors name. Raises PolicyError."""
    try:
        return tomllib.loads(text, parse_float=_number)
    except tomllib.TOMLDecodeError as error:
        hint = "the file is TOML, see https://toml.io"
        raise PolicyError(f"{source}: {_place(str(error), text)}", hint=hint) from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, a list in a list in a list: tomllib leaves these to Python.
        raise PolicyError(f"{source}: a value is too long or too deep to be read", hint="take it out") from None


def _number(text: str) -> Decimal | float:
    # Money is exact; a number that no Decimal can hold is no sum of money either, and is refused as one.
    try:
        return Decimal(text)
    except InvalidOperation:
        return float(text)


def _place(said: str, text: str) -> str:
    match = _POSITION.fullmatch(said)
    if match is None:
        return said
    line = match["line"] or max(1, len(text.splitlines()))
    column = f", column {match['column']}" if match["column"] else ""
    return f"line {line}{column}: {match['what']}"
