"""What a policy file may say, as one table (`FILE`), and the walk that finds everything it says besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, cast

from trimtab.policy.alerts_spec import CHANNEL_KINDS
from trimtab.policy.problems import KeyPath, Problem, shown, unknown
from trimtab.policy.spec import EFFORTS, KINDS, METRICS, MOST_MAX_TOKENS, TERMINAL_SCOPES, Caps


@dataclass(frozen=True, slots=True)
class Leaf:
    """A plain value. One that may be a `secret` in the wrong place is not shown in the error."""

    expected: str
    fits: Callable[[object], bool]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with keys of ours. An entry that must not be empty says so in `some`."""

    keys: Mapping[str, Node]
    some: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A table whose keys are names that the user chooses."""

    name: Leaf
    each: Node


@dataclass(frozen=True, slots=True)
class Either:
    """A plain value, or a table that says more."""

    short: Leaf
    long: Table


@dataclass(frozen=True, slots=True)
class NotYet:
    """A section of a later version: a key that does nothing is what this product exists against."""


Node: TypeAlias = Leaf | Table | Named | Either | NotYet


def _text(expected: str, pattern: str, *, secret: bool = False) -> Leaf:
    matches = re.compile(pattern).fullmatch
    return Leaf(expected, lambda value: isinstance(value, str) and matches(value) is not None, secret)


def _one_of(choices: tuple[str, ...]) -> Leaf:
    # `in` alone would ask a list for its hash.
    return Leaf(f"one of {', '.join(map(repr, choices))}", lambda value: isinstance(value, str) and value in choices)


def _is_max_tokens(value: object) -> bool:
    # `True` is an int, and no number of tokens.
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_MAX_TOKENS


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_COUNTED


def _is_dollars(value: object) -> bool:
    # `inf` and `nan` are numbers in TOML.
    number = isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite()
    return number and 0 < cast("Decimal", value) <= _MOST_DOLLARS


def _is_share(value: object) -> bool:
    # Where every run gets the same there is nothing to compare.
    return _is_dollars(value) and cast("Decimal", value) < 100  # noqa: PLR2004 - percent


def _is_list(value: object, fits: Callable[[object], bool]) -> bool:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return bool(listed) and all(map(fits, listed))


def _is_moment(value: object) -> bool:
    # A date and time without an offset would mean another moment on each host.
    return value.tzinfo is not None if isinstance(value, datetime) else isinstance(value, date)


_MOST_DOLLARS = 1_000_000_000
_MOST_COUNTED = 10**15
_WORD = r"[^\s:\x00-\x1f\x7f]+"
_MODEL_ID = _text('"provider:full-id"', rf"{_WORD}:[^\s\x00-\x1f\x7f]+")
_MODEL = _text('a model alias or "provider:full-id"', rf"{_WORD}(:[^\s\x00-\x1f\x7f]+)?")
_ROLE_NAME = Leaf(
    "a role's name (letters, digits and _)", lambda value: isinstance(value, str) and value.isidentifier()
)
_NAME = _text("a name without spaces or colons", _WORD)
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_MODELS = Leaf(f"a list of one or more, each {_MODEL.expected}", lambda value: _is_list(value, _MODEL.fits))

_CALLABLE = _text('"module:callable"', r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_FILE = _text("the path of a file", r"[^\x00-\x1f\x7f]+")

_ROLE = Either(
    Leaf(f"{_MODEL.expected}, or a table with it", _MODEL.fits),
    Table(
        {
            "model": _MODEL,
            "max_tokens": Leaf(f"a whole number from 1 to {MOST_MAX_TOKENS}", _is_max_tokens),
            "effort": _one_of(EFFORTS),
            "escalate": _MODELS,
            "prompt": _FILE,
        },
        some=True,
    ),
)
_ROLES = Named(_ROLE_NAME, _ROLE)

_DOLLARS = Leaf(f"a number of dollars over 0, at most {_MOST_DOLLARS}", _is_dollars)
_COUNT = Leaf("a whole number of 1 or more", _is_whole)
_CAPS = {cap.name: _DOLLARS if cap.name.startswith("usd") else _COUNT for cap in fields(Caps)}
_BUDGET = Table({**_CAPS, "roles": Named(_ROLE_NAME, Table(_CAPS, some=True))}, some=True)

_CREDENTIAL = Table(
    {
        "env": _text("the name of the environment variable that holds it", _VARIABLE, secret=True),
        "expires": Leaf("a date, or a date and time with its offset (2026-12-01T09:00:00Z)", _is_moment),
    },
    some=True,
)

_METRIC = _one_of(METRICS)
_TIME = r"0*[1-9]\d{0,5}(\.\d{1,3})?[smhd]"
TIME = _DURATION = _text('a time such as "90s", "30m", "12h" or "14d"', _TIME)
_LIMIT = _text(
    'a change at most allowed, such as "+60%", "+1.5s", "-0.02" or "+0"', r"[+-]\d{1,9}(\.\d{1,9})?(%|s|ms)?"
)
_ARM = _text("a name of letters, digits, - and _", r"[A-Za-z0-9_-]+")
_EXPERIMENT = Table(
    {
        "environment": _NAME,
        "arms": Named(_ARM, _ROLES),
        "control": _ARM,
        "factors": _ROLES,
        "weight": Leaf("percent of runs over 0 and under 100", _is_share),
        "goal": _METRIC,
        "guardrails": Table(dict.fromkeys(METRICS, _LIMIT)),
        "deadline": _DURATION,
        "horizon": _DURATION,
    }
)

# An alias means another model after an update, and this is compared with what really runs.
_TERMINAL_MODEL = _text('a full id without its provider ("claude-sonnet-4-6")', r"claude-[A-Za-z0-9.-]+(\[1m\])?")

_LINE = r"[^\x00-\x1f\x7f]+"
_HEADER = _text("the name of a header", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME = _text("the name of the environment variable that holds it", _VARIABLE, secret=True)
_ADDRESS = _text("an e-mail address", r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
_ADDRESSES = Leaf(
    "an e-mail address or a list of them", lambda value: _ADDRESS.fits(value) or _is_list(value, _ADDRESS.fits)
)
_URL = _text('a URL ("https://...")', r"https?://[^\s/\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*", secret=True)
_CHANNEL = Table(
    {
        "kind": _one_of(CHANNEL_KINDS),
        "url": _URL,
        "url_env": _VARIABLE_NAME,
        "headers": Named(_HEADER, _text("text on one line", _LINE, secret=True)),
        "headers_env": Named(_HEADER, _VARIABLE_NAME),
        "host": _text("the name of a host", r"[A-Za-z0-9.:-]+"),
        "port": Leaf("a port, 1 to 65535", lambda value: _is_whole(value) and cast("int", value) < 65536),  # noqa: PLR2004 - ports
        "from": _ADDRESS,
        "to": _ADDRESSES,
        "user_env": _VARIABLE_NAME,
        "password_env": _VARIABLE_NAME,
        "tls": _one_of(("starttls", "tls", "none")),
        "argv": Leaf(
            "a list: the program, then its arguments", lambda value: _is_list(value, lambda part: isinstance(part, str))
        ),
        "timeout": _DURATION,
    }
)
_PERCENT = Leaf("percent over 0, at most 100", lambda value: _is_share(value) or value == 100)  # noqa: PLR2004 - percent
_MOST_TIMES = 1000
_TIMES = Leaf(
    f"a number of times over 1, at most {_MOST_TIMES}",
    lambda value: _is_dollars(value) and 1 < cast("Decimal", value) <= _MOST_TIMES,
)
_ALERTS = Table(
    {
        "every": _text('a time such as "5m", or "never"', rf"{_TIME}|never"),
        "quiet": _DURATION,
        "environments": Leaf("a list of environments", lambda value: _is_list(value, _NAME.fits)),
        "spike": _TIMES,
        "usd_per_hour": Named(_NAME, _DOLLARS),
        "usd_per_success": Named(_NAME, _DOLLARS),
        "retries": _PERCENT,
        "budget": _PERCENT,
        "standing": _DURATION,
        "silence": _DURATION,
        "channels": Named(_ARM, _CHANNEL),
    }
)

FILE = Table(
    {
        "app": Table(
            {
                "factory": _CALLABLE,
                "sandbox": _CALLABLE,
                "score": _CALLABLE,
                "store": _FILE,
                "prices": _FILE,
            }
        ),
        "models": Named(_NAME, _MODEL_ID),
        "providers": Named(
            _NAME,
            Table(
                {
                    "kind": _one_of(KINDS),
                    "base_url": _text(
                        'a URL ("https://...")', r"https?://[^\s/\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*", secret=True
                    ),
                    "key_env": _text(
                        "the name of the environment variable that holds the key",
                        _VARIABLE,
                        secret=True,
                    ),
                }
            ),
        ),
        "roles": _ROLES,
        "environments": Named(_NAME, Table({"roles": _ROLES})),
        "experiments": Named(_ARM, _EXPERIMENT),
        "terminal": Table({"model": _TERMINAL_MODEL, "scope": _one_of(TERMINAL_SCOPES)}, some=True),
        "alerts": _ALERTS,
        "rollouts": NotYet(),
        "budgets": Named(_NAME, _BUDGET),
        "credentials": Named(_NAME, _CREDENTIAL),
    }
)


def prune(node: Node, value: object, path: KeyPath, found: list[Problem]) -> Any:
    """Give what of `value` fits, adding what does not to `found`; None (TOML has no null) where nothing does."""
    match node:
        case Table() | Named():
            return _prune_table(node, value, path, found)
        case Either():
            chosen = node.long if isinstance(value, dict) else node.short
            return prune(chosen, cast("object", value), path, found)
        case Leaf():
            if node.fits(value):
                return value
            found.append(Problem(path, f"expected {node.expected}{_but(node, value)}"))
        case NotYet():
            hint = f"take {path[-1]!r} out; a setting that does nothing would mislead whoever reads it"
            found.append(Problem(path, f"this version of trimtab does not act on {path[-1]!r} yet", hint))
    return None


def _prune_table(node: Table | Named, value: object, path: KeyPath, found: list[Problem]) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        found.append(Problem(path, f"expected a table, not {shown(value)}"))
        return None
    table = cast("dict[str, object]", value)
    if isinstance(node, Table) and node.some and not table:
        found.append(Problem(path, f"an empty table says nothing, expected some of {', '.join(map(repr, node.keys))}"))
    kept = {
        key: prune(inner, table[key], (*path, key), found) for key in table if (inner := _under(node, key, path, found))
    }
    return {key: inner for key, inner in kept.items() if inner is not None}


def _under(node: Table | Named, key: str, path: KeyPath, found: list[Problem]) -> Node | None:
    match node:
        case Table():
            if key in node.keys:
                return node.keys[key]
            known = [name for name, inner in node.keys.items() if not isinstance(inner, NotYet)]
            found.append(Problem((*path, key), *unknown("key", key, known)))
        case Named():
            if node.name.fits(key):
                return node.each
            found.append(Problem((*path, key), f"expected {node.name.expected}, not {shown(key)}"))
    return None


def _but(leaf: Leaf, value: object) -> str:
    return " (what stands there is not shown: it may be secret)" if leaf.secret else f", not {shown(value)}"
