"""What `[hosts]` says: machines, the files there that name models, and checks, made typed values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

from trimtab.policy.experiment import duration
from trimtab.policy.problems import KeyPath, Problem, unknown
from trimtab.policy.rollout_spec import FileKind, FileSpec, HealthSpec, HostGroup

TERMINAL_KEY = "model"
_ADDED = {
    "addresses": 'add addresses = ["deploy@app-1", "app-2"], as ssh is given them',
    "files": "add [{path}.files.settings] with path and keys: what says there which model plays which role",
    "prove": 'add prove = "...": a command there whose output names the model of a new answer',
}
_PART = r'("[^"]+"|[^\s."\x00-\x1f\x7f]+)'
# How a key of each kind of file looks, and what to write.
_KEYS: Mapping[FileKind, tuple[re.Pattern[str], str]] = {
    "json": (re.compile(rf"{_PART}(\.{_PART})*"), 'dotted keys such as "models.orchestrator"'),
    "toml": (re.compile(rf"{_PART}(\.{_PART})*"), 'dotted keys such as "models.orchestrator"'),
    "env": (re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), 'a variable such as "ORCHESTRATOR_MODEL"'),
    "terminal": (re.compile(TERMINAL_KEY), f'"{TERMINAL_KEY}", the one key of the terminal that is written'),
}
_SUFFIXES: Mapping[str, FileKind] = {".json": "json", ".toml": "toml", ".env": "env"}


def problems(kept: Mapping[str, Any], content: Mapping[str, Any], environments: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong with the hosts of `kept`; what `content` has besides was found wrong already."""
    groups: Mapping[str, Mapping[str, Any]] = kept.get("hosts", {})
    for name, table in groups.items():
        path, said = ("hosts", name), content["hosts"][name]
        yield from _environment(path, table, said, environments)
        for key, hint in _ADDED.items():
            if key not in said or said[key] == {}:
                yield Problem(path, f"expected {key!r}", hint.format(path=f"hosts.{name}"))
        if "unit" in said and "restart" in said:
            yield Problem((*path, "restart"), "'unit' and 'restart' exclude each other", "take one of them out")
        yield from _health(path, table, said)
        yield from _twice(path, table)
        for file, entry in table.get("files", {}).items():
            yield from _file((*path, "files", file), entry, said["files"][file])
    for first, second in combinations(groups, 2):
        yield from _shared(groups, first, second)


def _environment(
    path: KeyPath, table: Mapping[str, Any], said: Mapping[str, Any], environments: Collection[str]
) -> Iterator[Problem]:
    if "environment" not in said and path[-1] not in environments:
        hint = f"add environment = {min(environments)!r}; a group that is called as an environment needs none"
        yield Problem(path, "expected an 'environment'", hint)
    elif "environment" in table and table["environment"] not in environments:
        yield Problem((*path, "environment"), *unknown("environment", table["environment"], environments))


def _health(path: KeyPath, table: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Problem]:
    for place, check in enumerate(table.get("health", ()), start=1):
        if check is not None and len(said["health"][place - 1]) != 1:
            text = f"expected exactly one of 'command', 'http' and 'journal', not {len(said['health'][place - 1])}"
            yield Problem((*path, "health", place), text, "write each check as an entry of its own")


def _twice(path: KeyPath, table: Mapping[str, Any]) -> Iterator[Problem]:
    addresses: list[str | None] = table.get("addresses", [])
    for place, address in enumerate(addresses):
        if address is not None and address in addresses[:place]:
            yield Problem((*path, "addresses", place + 1), f"{address!r} is in this list already", "take it out")
    paths: Mapping[str, str] = {name: file["path"] for name, file in table.get("files", {}).items() if "path" in file}
    for first, second in combinations(paths, 2):
        if paths[first] == paths[second]:
            hint = "one file is one entry: put all its keys there"
            yield Problem((*path, "files", second, "path"), f"is the file of {first!r} already", hint)


def _shared(groups: Mapping[str, Mapping[str, Any]], first: str, second: str) -> Iterator[Problem]:
    one, other = groups[first], groups[second]
    same = one.get("environment", first) == other.get("environment", second)
    written = {file.get("path") for file in one.get("files", {}).values()} - {None}
    fought_over = written & {file.get("path") for file in other.get("files", {}).values()}
    for place, address in enumerate(other.get("addresses", ()), start=1):
        if address is None or address not in one.get("addresses", ()):
            continue
        at = ("hosts", second, "addresses", place)
        if same:
            yield Problem(at, f"{address!r} is in group {first!r} of the same environment", "leave it in one of them")
        elif fought_over:
            text = f"{address!r} is in group {first!r}, which writes {min(fought_over)!r} for another environment"
            yield Problem(at, text, "one file is of one environment")


def _file(path: KeyPath, table: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Problem]:
    kind = _kind(table, said)
    if "path" not in said:
        yield Problem(path, "expected a 'path'", 'add path = "/etc/..."')
    elif kind is None and "path" in table and "kind" not in said:
        yield Problem(
            path, f"{table['path']!r} does not tell what kind of file it is", 'add kind = "json", "toml" or "env"'
        )
    if not said.get("keys", "keys" in said):
        at = (*path, "keys") if "keys" in said else path
        yield Problem(at, "expected 'keys': role = where its model stands", 'keys = { orchestrator = "model" }')
    if kind is None:
        return
    yield from _keys((*path, "keys"), table.get("keys", {}), kind)
    if kind != "terminal" and table.get("lock"):
        yield Problem(
            (*path, "lock"), f"a file of kind {kind!r} cannot lock a model", "it is for settings of the terminal"
        )
    if kind == "terminal" and table.get("ids") == "full":
        yield Problem((*path, "ids"), "the terminal knows ids without their provider only", 'ids = "bare"')


def _keys(path: KeyPath, keys: Mapping[str, str], kind: FileKind) -> Iterator[Problem]:
    pattern, expected = _KEYS[kind]
    fit = {role: key for role, key in keys.items() if pattern.fullmatch(key)}
    for role in keys:
        if role not in fit:
            yield Problem((*path, role), f"expected {expected}, not {keys[role]!r}")
    for first, second in combinations(fit, 2):
        short, long = sorted((fit[first], fit[second]), key=len)
        if short == long or long.startswith(f"{short}."):
            text = f"the model of role {first!r} stands at {fit[first]!r} already"
            yield Problem((*path, second), text, "a key names the model of one role")


def _kind(table: Mapping[str, Any], said: Mapping[str, Any]) -> FileKind | None:
    return table.get("kind") if "kind" in said else kind_of(table.get("path", ""))


def kind_of(path: str) -> FileKind | None:
    """Tell the kind of a settings file by its path, where that tells it."""
    file = PurePosixPath(path)
    managed = file.name == "managed-settings.json" or file.parent.name == "managed-settings.d"
    if file.suffix == ".json" and (managed or (file.parent.name == ".claude" and file.name.startswith("settings"))):
        return "terminal"
    return _SUFFIXES.get(file.suffix or file.name)


def groups(kept: Mapping[str, Any]) -> dict[str, HostGroup]:
    """Make the typed values of what was found to be right."""
    return {name: _group(name, table) for name, table in kept.get("hosts", {}).items()}


def _group(name: str, table: Mapping[str, Any]) -> HostGroup:
    said: dict[str, Any] = {"environment": name, **table}
    said |= {key: duration(table[key]) for key in ("soak", "timeout") if key in table}
    said |= {key: tuple(table[key]) for key in ("addresses", "ssh") if key in table}
    said["files"] = tuple(_file_spec(file, entry) for file, entry in table["files"].items())
    said["health"] = tuple(HealthSpec(**check) for check in table.get("health", ()))
    return HostGroup(name, **said)


def _file_spec(name: str, table: Mapping[str, Any]) -> FileSpec:
    said: dict[str, Any] = {"kind": kind_of(table["path"]), **table}
    return FileSpec(name, **said)
