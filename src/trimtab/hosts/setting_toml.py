"""Changes values of a TOML file as text, by tomlkit, which keeps comments and layout; what it made is read again and compared."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimtab.core.errors import UsageError
from trimtab.core.json_text import BOM, Held

if TYPE_CHECKING:
    import tomlkit


class BadTomlError(ValueError):
    """The text is no TOML, or has something else where a table or a string was expected."""


def held(text: str | None, path: tuple[str, ...]) -> Held:
    """Say what string stands at a path of keys, as written. Raises BadTomlError, UsageError where tomlkit is missing."""
    table, depth = _inner(_parse(text), path)
    if depth < len(path) - 1 or path[-1] not in table:
        return Held(None, depth)
    item: Any = table[path[-1]]
    if not isinstance(item, str) or not hasattr(item, "as_string"):
        message = f"{'.'.join(path)}: {_kind(item)}, expected the name of a model"
        raise BadTomlError(message)
    return Held(item.as_string(), depth)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportAttributeAccessIssue]


def put(text: str | None, path: tuple[str, ...], raw: str) -> str:
    """Give the text with a string, given as TOML, at a path of keys; tables on the way are made. Raises BadTomlError."""
    import tomlkit

    document = _parse(text)
    table, depth = _inner(document, path)
    for key in path[depth:-1]:
        table[key] = tomlkit.table()
        table = table[key]
    table[path[-1]] = tomlkit.value(raw)
    wanted = _plain(text)
    inner = wanted
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value(raw)
    return _checked(text, document, wanted)


def put_back(text: str | None, path: tuple[str, ...], was: Held) -> str | None:
    """Give the text with a path as it was held before, without the tables that were made for it. Raises BadTomlError."""
    if was.raw is not None:
        return put(text, path, was.raw)
    for depth in range(len(path) - 1, was.depth - 1, -1):
        document, wanted = _parse(text), _plain(text)
        table, there = _inner(document, path[: depth + 1])
        emptied = depth == len(path) - 1 or (there == depth and not table.get(path[depth], 1))
        if there < depth or path[depth] not in table or not emptied:
            continue
        del table[path[depth]]
        inner = wanted
        for key in path[:depth]:
            inner = inner[key]
        del inner[path[depth]]
        text = _checked(text, document, wanted)
    return text


def value(raw: str) -> str:
    """Read a string as written."""
    return str(tomllib.loads(f"value = {raw}")["value"])


def written(given: str, like: str | None) -> str:
    """Write a string, in the quotes of the one before."""
    import tomlkit

    literal = bool(like) and str(like).startswith("'") and "'" not in given
    return tomlkit.string(given, literal=literal).as_string()


def _parse(text: str | None) -> tomlkit.TOMLDocument:
    try:
        import tomlkit
    except ModuleNotFoundError:
        raise UsageError(
            "changing a TOML file needs tomlkit, which is not installed", hint="pip install 'trimtab[hosts]'"
        ) from None
    try:
        tomllib.loads(_bare(text))
        return tomlkit.parse(_bare(text))
    except (ValueError, RecursionError) as error:
        raise BadTomlError(str(error)) from None


def _inner(document: Any, path: tuple[str, ...]) -> tuple[Any, int]:
    """Give the innermost table that is there on the way to the last key, and how many keys led to it."""
    here: Any = document
    depth = 0
    for key in path[:-1]:
        if key not in here:
            break
        here = here[key]
        depth += 1
        if not hasattr(here, "keys"):
            message = f"{'.'.join(path[:depth])}: {_kind(here)}, expected a table"
            raise BadTomlError(message)
    return here, depth


def _checked(text: str | None, document: tomlkit.TOMLDocument, wanted: Mapping[str, Any]) -> str:
    made = document.as_string()
    try:
        same = _filled(tomllib.loads(made)) == _filled(wanted)
    except ValueError:
        same = False
    if not same:
        message = "cannot be changed without changing more of it than was asked for"
        raise BadTomlError(message)
    return (BOM if (text or "").startswith(BOM) else "") + made


def _filled(table: Mapping[str, Any]) -> dict[str, Any]:
    # A table that is only the way to another is gone with it.
    inner = {key: _filled(found) if isinstance(found, dict) else found for key, found in table.items()}  # pyright: ignore[reportUnknownArgumentType]
    return {key: found for key, found in inner.items() if found != {}}


def _plain(text: str | None) -> dict[str, Any]:
    return tomllib.loads(_bare(text))


def _bare(text: str | None) -> str:
    return (text or "").removeprefix(BOM)


def _kind(item: object) -> str:
    return f"{item!r:.60}"
