"""What a policy file may say, as one table (`FILE`), and the walk that finds everything it says besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from trimtab.policy.problems import KeyPath, Problem, shown, unknown
from trimtab.policy.spec import EFFORTS, KINDS, MOST_MAX_TOKENS


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


_WORD = r"[^\s:\x00-\x1f\x7f]+"
_MODEL_ID = _text('"provider:full-id"', rf"{_WORD}:[^\s\x00-\x1f\x7f]+")
_MODEL = _text('a model alias or "provider:full-id"', rf"{_WORD}(:[^\s\x00-\x1f\x7f]+)?")
_ROLE_NAME = Leaf(
    "a role's name (letters, digits and _)", lambda value: isinstance(value, str) and value.isidentifier()
)
_NAME = _text("a name without spaces or colons", _WORD)

_ROLE = Either(
    Leaf(f"{_MODEL.expected}, or a table with it", _MODEL.fits),
    Table(
        {
            "model": _MODEL,
            "max_tokens": Leaf(f"a whole number from 1 to {MOST_MAX_TOKENS}", _is_max_tokens),
            "effort": _one_of(EFFORTS),
        },
        some=True,
    ),
)
_ROLES = Named(_ROLE_NAME, _ROLE)

FILE = Table(
    {
        "app": Table(
            {
                "factory": _text('"module:callable"', r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"),
                "store": _text("the path of a file", r"[^\x00-\x1f\x7f]+"),
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
                        r"[A-Za-z_][A-Za-z0-9_]*",
                        secret=True,
                    ),
                }
            ),
        ),
        "roles": _ROLES,
        "environments": Named(_NAME, Table({"roles": _ROLES})),
        "experiments": NotYet(),
        "rollouts": NotYet(),
        "budgets": NotYet(),
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
