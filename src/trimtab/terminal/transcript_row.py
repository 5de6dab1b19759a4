"""What a row of a transcript is made of: JSON by JSON parsers, names, times and tokens, each taken only where it is one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, cast

from pydantic_core import from_json

_DATED = re.compile(r"(?:-20\d{6}|@20\d{6}|\[1m\])+")
# No model takes or writes as many tokens at once; a larger figure is damage.
_MOST_TOKENS = 100_000_000
_LONGEST_NAME = 400


class BadLineError(ValueError):
    """A line that cannot be used; says why."""


def parsed(line: bytes) -> dict[str, Any]:
    """Parse a line. Raises BadLineError where it is no JSON object."""
    try:
        row: object = from_json(line, cache_strings="keys")
    except ValueError:
        # Half of a surrogate pair is JSON, and the terminal writes it where it cuts text; the fast parser refuses it.
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadLineError("it is not JSON") from error
    if not isinstance(row, dict):
        raise BadLineError("it is no JSON object")
    return cast("dict[str, Any]", row)


def is_same_model(requested: str, model: str) -> bool:
    """Whether two names are of one model: a release that a bare name stands for is what was asked for."""
    one, two = (_DATED.sub("", name) for name in (requested, model))
    return one == two


def time_of(row: dict[str, Any]) -> int:
    """Give the time of a row, in milliseconds since 1970."""
    written = row.get("timestamp")
    try:
        at = datetime.fromisoformat(written) if isinstance(written, str) else None
        if at is not None and at.tzinfo is not None:
            return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise BadLineError("its timestamp is no time")


def tokens(usage: Mapping[str, Any], key: str) -> int:
    """Give a number of tokens; one that is not there is 0."""
    count = usage.get(key)
    if count is None:
        return 0
    if type(count) is not int or not 0 <= count <= _MOST_TOKENS:
        raise BadLineError(f"its {key} is no number of tokens")
    return count


def mapping(value: object) -> Mapping[str, Any]:
    """Take an object as it is, anything else as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def name_of(value: object) -> str:
    """Take an id or a name as the index can hold it; a number is written, anything else is none."""
    if type(value) is str:
        short = value if len(value) <= _LONGEST_NAME else value[:_LONGEST_NAME]
        return short if short.isascii() else short.encode(errors="replace").decode()
    return str(value) if type(value) is int and abs(value) < _MOST_TOKENS else ""


def digest(text: str) -> str:
    """Name a text without keeping it."""
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
