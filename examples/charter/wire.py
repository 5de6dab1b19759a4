"""How values look outside: times to the minute, money as numbers, everything as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel

DAY = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def minute(when: datetime) -> str:
    """Write a local time to the minute."""
    return when.strftime("%Y-%m-%dT%H:%M")


def local(text: str) -> datetime:
    """Read a local time; an offset is dropped, because times already are in the company's zone."""
    return datetime.fromisoformat(text).replace(tzinfo=None, second=0, microsecond=0)


def plain(value: Any) -> Any:
    """Turn a value into plain JSON. Arguments that were not given are left out."""
    match value:
        case BaseModel():
            fields = type(value).model_fields
            return {
                fields[name].alias or name: plain(getattr(value, name))
                for name in fields
                if name in value.model_fields_set
            }
        case datetime() | date():
            return minute(value) if isinstance(value, datetime) else value.isoformat()
        case Decimal():
            return float(value)
        case Mapping():
            pairs = cast("Mapping[Any, Any]", value)
            return {str(key): plain(inner) for key, inner in pairs.items()}
        case list() | tuple():
            return [plain(inner) for inner in cast("list[Any]", value)]
        case _:
            return value


def named(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Turn keyword arguments into the JSON object of a plan: `from_` is `from` there."""
    return {name.rstrip("_"): plain(value) for name, value in arguments.items() if value is not None}


def dumps(value: Any) -> str:
    """Write canonical JSON."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
