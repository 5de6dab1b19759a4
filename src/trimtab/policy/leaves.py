"""The plain values of a policy file: what each may be, and how an error says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import cast

from trimtab.policy.shape import Either, Leaf, Named, Table
from trimtab.policy.spec import EFFORTS, METRICS, MOST_MAX_TOKENS

MOST_DOLLARS = 1_000_000_000
_MOST_COUNTED = 10**15
_WHOLE_SHARE = 100  # percent


def text(expected: str, pattern: str, *, secret: bool = False) -> Leaf:
    """Text that matches a pattern as a whole."""
    matches = re.compile(pattern).fullmatch
    return Leaf(expected, lambda value: isinstance(value, str) and matches(value) is not None, secret)


def one_of(choices: tuple[str, ...]) -> Leaf:
    """One of some words."""
    # `in` alone would ask a list for its hash.
    return Leaf(f"one of {', '.join(map(repr, choices))}", lambda value: isinstance(value, str) and value in choices)


def is_whole(value: object, least: int = 1) -> bool:
    """Whether it is a number that counts something."""
    # `True` is an int, and counts nothing.
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_COUNTED


def is_dollars(value: object) -> bool:
    """Whether it is a number over 0."""
    # `inf` and `nan` are numbers in TOML.
    number = isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite()
    return number and 0 < cast("Decimal", value) <= MOST_DOLLARS


def is_percent(value: object) -> bool:
    """Whether it is over 0 and at most 100."""
    return is_dollars(value) and cast("Decimal", value) <= _WHOLE_SHARE


def is_list(value: object, fits: Callable[[object], bool]) -> bool:
    """Whether it is a list of one or more that fit."""
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return bool(listed) and all(map(fits, listed))


def _is_max_tokens(value: object) -> bool:
    return is_whole(value) and cast("int", value) <= MOST_MAX_TOKENS


def _is_moment(value: object) -> bool:
    # A date and time without an offset would mean another moment on each host.
    return value.tzinfo is not None if isinstance(value, datetime) else isinstance(value, date)


WORD = r"[^\s:\x00-\x1f\x7f]+"
LINE = r"[^\x00-\x1f\x7f]+"
URL = r"https?://[^\s/\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*"
MODEL_ID = text('"provider:full-id"', rf"{WORD}:[^\s\x00-\x1f\x7f]+")
_MODEL = text('a model alias or "provider:full-id"', rf"{WORD}(:[^\s\x00-\x1f\x7f]+)?")
_MODELS = Leaf(f"a list of one or more, each {_MODEL.expected}", lambda value: is_list(value, _MODEL.fits))
ROLE_NAME = Leaf("a role's name (letters, digits and _)", lambda value: isinstance(value, str) and value.isidentifier())
NAME = text("a name without spaces or colons", WORD)
PLAIN_NAME = text("a name of letters, digits, - and _", r"[A-Za-z0-9_-]+")
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
CALLABLE = text('"module:callable"', r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
FILE_PATH = text("the path of a file", LINE)
DOLLARS = Leaf(f"a number of dollars over 0, at most {MOST_DOLLARS}", is_dollars)
COUNT = Leaf("a whole number of 1 or more", is_whole)
PERCENT = Leaf("percent over 0, at most 100", is_percent)
MOMENT = Leaf("a date, or a date and time with its offset (2026-12-01T09:00:00Z)", _is_moment)
TIME_PATTERN = r"0*[1-9]\d{0,5}(\.\d{1,3})?[smhd]"
TIME = text('a time such as "90s", "30m", "12h" or "14d"', TIME_PATTERN)
METRIC = one_of(METRICS)
LIMIT = text('a change at most allowed, such as "+60%", "+1.5s", "-0.02" or "+0"', r"[+-]\d{1,9}(\.\d{1,9})?(%|s|ms)?")

_ROLE = Either(
    Leaf(f"{_MODEL.expected}, or a table with it", _MODEL.fits),
    Table(
        {
            "model": _MODEL,
            "max_tokens": Leaf(f"a whole number from 1 to {MOST_MAX_TOKENS}", _is_max_tokens),
            "effort": one_of(EFFORTS),
            "escalate": _MODELS,
            "prompt": FILE_PATH,
        },
        some=True,
    ),
)
ROLES = Named(ROLE_NAME, _ROLE)
