"""JSON values, and names for them: equal values have equal names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def dumps(value: object) -> str:
    r"""Write `value` as compact JSON, keys in their order. Money becomes a string, time ISO 8601.

    Half of a surrogate pair, which models may say and UTF-8 cannot hold, is written as its JSON escape.
    """
    return _encodable(_AS_GIVEN.encode(value))


def digest(value: object) -> str:
    """Name a value by 16 hexadecimal digits (64 bits of SHA-256) of its JSON with sorted keys: equal values, equal names."""
    return hashlib.sha256(_encodable(_SORTED.encode(value)).encode()).hexdigest()[:16]


def printable(text: str) -> str:
    """Leave nothing in a line that is no text: names from elsewhere must do nothing to a screen, a log or the headers of a mail."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case Enum():
            return value.value
        case Mapping():
            return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            message = f"{type(value).__name__} is not JSON"
            raise TypeError(message)


_AS_GIVEN = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_plain)
_SORTED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_plain, sort_keys=True)
