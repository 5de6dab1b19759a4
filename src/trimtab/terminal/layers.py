"""The layers of settings, read once: what each file gives, and what of it and of the shell's environment holds in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from trimtab.core.finding import Finding
from trimtab.terminal.place import Place
from trimtab.terminal.settings import Scope, parse
from trimtab.terminal.versions import NEWEST, nearest

_LARGEST = 16_000_000


@dataclass(frozen=True, slots=True)
class File:
    """A settings file that is there: what it gives, or why it gives nothing (`dropped`)."""

    scope: Scope
    path: str
    values: Mapping[str, Any]
    problems: tuple[Finding, ...] = ()
    dropped: str = ""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Layers:
    """Every file, the weakest first."""

    files: tuple[File, ...]

    def of(self, scope: Scope) -> tuple[File, ...]:
        """Give the files of a scope, the weakest first."""
        return tuple(file for file in self.files if file.scope == scope)

    def last(self, scope: Scope, key: str) -> tuple[File, Any] | None:
        """Give the strongest file of a scope that has a key, and what stands there."""
        held = [(file, file.values[key]) for file in self.of(scope) if file.values.get(key) is not None]
        return held[-1] if held else None

    def strongest(self, key: str) -> Any:
        """Give what the strongest file says of a key; None where none does."""
        held = [file.values[key] for file in self.files if file.values.get(key) is not None]
        return held[-1] if held else None

    def env(self) -> dict[str, tuple[str, File]]:
        """Give the variables that settings set, each with the file that decides it."""
        found: dict[str, tuple[str, File]] = {}
        for file in self.files:
            block = file.values.get("env")
            if isinstance(block, dict):
                for name, value in cast("dict[str, Any]", block).items():
                    found[name] = (as_text(value), file)
        return found

    def overrides(self) -> dict[str, str]:
        """Give what `modelOverrides` puts in the place of an id, the strongest file's word for each."""
        found: dict[str, str] = {}
        for file in self.files:
            block = file.values.get("modelOverrides")
            if isinstance(block, dict):
                found |= {name: to for name, to in cast("dict[str, Any]", block).items() if isinstance(to, str) and to}
        return found

    def texts(self, key: str, scopes: Sequence[Scope]) -> list[str] | None:
        """Give a list put together from all files of some scopes; None where none has it."""
        found: list[str] | None = None
        for file in self.files:
            held = file.values.get(key)
            if file.scope in scopes and isinstance(held, list):
                strings = [entry for entry in cast("list[object]", held) if isinstance(entry, str)]
                found = list(dict.fromkeys([*(found or []), *strings]))
        return found


def read_layers(place: Place, settings: str | None = None, version: str = "") -> Layers:
    """Read every settings file of a place; `settings` is what --settings names: a file, or JSON itself."""
    found: list[File] = []
    own: list[tuple[Scope, Path]] = [("user", place.user), ("project", place.shared), ("local", place.local)]
    if nearest(version or NEWEST).rooted and (rooted := place.rooted):
        own.append(("local", rooted))
    for scope, path in own:
        if scope == "project" and path == place.user:
            continue
        found += _read(path, scope, version)
    if settings is not None:
        found += _given(settings, place, version)
    for path in place.managed_files:
        found += _read(path, "managed", version)
    return Layers(tuple(found))


def as_text(value: object) -> str:  # noqa: PLR0911 - one for each kind of JSON
    """Write a value of an `env` block as the terminal hands it on: every value becomes a string."""
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return ",".join("" if entry is None else as_text(entry) for entry in cast("list[object]", value))
        case dict():
            return "[object Object]"
        case _:
            return str(value)


def _read(path: Path, scope: Scope, version: str) -> Iterator[File]:
    try:
        content = path.read_bytes() if path.stat().st_size <= _LARGEST and not path.is_fifo() else None
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink() and scope != "managed":
            why = "the terminal takes it for no file at all, and says nothing"
            problem = Finding("a link to nowhere", str(path), why, f"ls -l {path}")
            yield File(scope, str(path), {}, (problem,), "a link to nowhere")
        return
    except OSError as error:
        content, said = None, f"cannot be read: {error.strerror or error}"
    else:
        said = f"cannot be read: larger than {_LARGEST:,} bytes, or no plain file"
    if content is None:
        problem = Finding(said, str(path), "", f"ls -l {path}", "error")
        closed = scope == "managed" and nearest(version or NEWEST).closes
        yield File(scope, str(path), {}, (problem,), said, closed)
        return
    yield _file(content, str(path), scope, version)


def _given(settings: str, place: Place, version: str) -> Iterator[File]:
    if settings.lstrip().startswith("{"):
        try:
            json.loads(settings)
        except ValueError:
            yield File("flag", "--settings", {}, dropped="no JSON", closed=True)
            return
        yield _file(settings.encode(), "--settings", "flag", version)
        return
    yield from _read(place.project / settings, "flag", version)


def _file(content: bytes, where: str, scope: Scope, version: str) -> File:
    parsed = parse(content, where, scope, version)
    if parsed.values is not None:
        return File(scope, where, parsed.values, parsed.problems, closed=parsed.closed)
    worst = next((p for p in parsed.problems if p.weight == "error"), None)
    return File(
        scope, where, {}, parsed.problems, f"whole file dropped: {worst.what if worst else 'unreadable'}", parsed.closed
    )
