"""What a file of settings may say, as a tree of nodes, and the walk that finds everything a file says besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from trimtab.policy.problems import KeyPath, Problem, shown, unknown


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
class Listed:
    """A list of one or more, each with its place in the error's path, from 1."""

    each: Node
    expected: str


@dataclass(frozen=True, slots=True)
class Either:
    """A plain value, or a table that says more."""

    short: Leaf
    long: Table


Node: TypeAlias = Leaf | Table | Named | Listed | Either


def prune(node: Node, value: object, path: KeyPath, found: list[Problem]) -> Any:
    """Give what of `value` fits, adding what does not to `found`; None (TOML has no null) where nothing does.

    A list keeps its places: one of its entries that does not fit at all is None there.
    """
    match node:
        case Table() | Named():
            return _prune_table(node, value, path, found)
        case Listed():
            return _prune_list(node, value, path, found)
        case Either():
            chosen = node.long if isinstance(value, dict) else node.short
            return prune(chosen, cast("object", value), path, found)
        case Leaf():
            if node.fits(value):
                return value
            found.append(Problem(path, f"expected {node.expected}{_but(node, value)}"))
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


def _prune_list(node: Listed, value: object, path: KeyPath, found: list[Problem]) -> list[Any] | None:
    if not isinstance(value, list) or not value:
        empty = "an empty list" if isinstance(value, list) else shown(value)
        found.append(Problem(path, f"expected {node.expected}, not {empty}"))
        return None
    each = enumerate(cast("list[object]", value), start=1)
    return [prune(node.each, inner, (*path, place), found) for place, inner in each]


def _under(node: Table | Named, key: str, path: KeyPath, found: list[Problem]) -> Node | None:
    match node:
        case Table():
            if key in node.keys:
                return node.keys[key]
            found.append(Problem((*path, key), *unknown("key", key, node.keys)))
        case Named():
            if node.name.fits(key):
                return node.each
            found.append(Problem((*path, key), f"expected {node.name.expected}, not {shown(key)}"))
    return None


def _but(leaf: Leaf, value: object) -> str:
    return " (what stands there is not shown: it may be secret)" if leaf.secret else f", not {shown(value)}"
