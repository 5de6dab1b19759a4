"""Secrets in plain-text files of a home folder and a project: which files, which names; never a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.core.finding import Finding, Weight
from trimtab.hosts.shapes import is_secret, shape_of
from trimtab.hosts.text import LARGEST, bounded_text, is_file, rc_files, within

_LARGEST_JSON = 16 * 2**20
_MOST_FILES, _MOST_NAMES, _MOST_VALUES, _DEEPEST = 100, 6, 200_000, 40
_SETTINGS = (".claude/settings.json", ".claude/settings.local.json")
_ASSIGNED = re.compile(r"^\s*['\"]?([A-Za-z_][\w.-]*)['\"]?\s*=\s*(.+)$")
_QUOTED = r"'[^']*'|\"[^\"]*\"|[^\s;#&]+"
_VARIABLE = re.compile(rf"(?:^|[\s;&\"'])(?:([A-Za-z_]\w*)=({_QUOTED})|set\s+-[gUx]+\s+([A-Za-z_]\w*)\s+({_QUOTED}))")
_READ_BY_OTHERS = 0o044


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret in a file: what it is called there, and how that is known."""

    name: str
    kind: str


def secret_findings(
    home: Path | None, project: Path | None, *, root: Path | None = None, policies: Sequence[Path] = ()
) -> list[Finding]:
    """Look for secrets in settings, shell files, `.env` files and policies; names only, never values. Changes nothing.

    Links that lead out of home, project and the folders of `policies` are not followed. `root` is where /etc is looked for.
    """
    found: list[Finding] = []
    folders = [folder for folder in (home, project, root / "etc" if root else None) if folder]
    folders += [policy.parent for policy in policies]
    seen: set[Path] = set()
    for file in [*_of_home(home, root), *_of_project(project), *policies][:_MOST_FILES]:
        if not is_file(file) or not within(file, folders) or (real := file.resolve()) in seen:
            continue
        seen.add(real)
        shared = project is not None and _is_checked_in(file, project)
        found += _of_file(file, shared=shared)
    return found


def _of_home(home: Path | None, root: Path | None) -> list[Path]:
    if home is None:
        return rc_files(None, root)
    named = [home / name for name in (*_SETTINGS, ".claude.json", ".mcp.json", ".env")]
    return [*named, *_dotenvs(home / ".claude"), *rc_files(home, root)]


def _of_project(project: Path | None) -> list[Path]:
    if project is None:
        return []
    return [*(project / name for name in (*_SETTINGS, ".mcp.json", "trimtab.toml")), *_dotenvs(project)]


def _dotenvs(folder: Path) -> list[Path]:
    try:
        named = sorted({*folder.glob(".env"), *folder.glob(".env.*"), *folder.glob("*.env")})
    except OSError:
        return []
    return [file for file in named if not file.name.endswith((".example", ".sample", ".template", ".dist"))][:20]


def _is_checked_in(file: Path, project: Path) -> bool:
    """Whether a file is one of a project that everybody who has the project has."""
    return file in {project / ".claude/settings.json", project / ".mcp.json", project / "trimtab.toml"}


def _of_file(file: Path, *, shared: bool) -> Iterator[Finding]:
    secrets = list(dict.fromkeys(_in_json(file) if file.suffix == ".json" else _in_lines(file)))
    if not secrets:
        return
    mode = file.stat().st_mode
    names = ", ".join(f"{kept.name} ({kept.kind})" for kept in secrets[:_MOST_NAMES])
    more = f" and {len(secrets) - _MOST_NAMES} more" if len(secrets) > _MOST_NAMES else ""
    one = "a secret" if len(secrets) == 1 else f"{len(secrets)} secrets"
    what = f"{one} in plain text: {names}{more}"
    if mode & _READ_BY_OTHERS:
        why = f"other users of this host may read the file (mode {mode & 0o777:o})"
        yield Finding(what, str(file), why, f"chmod 600 {file}", "error")
    elif shared:
        why = "the file is one of the project: whoever has the project has the secret"
        mend = f"git rm --cached {file.name} would not take it out of the history: renew it, and name a variable there"
        yield Finding(what, str(file), why, mend, "error")
    else:
        yield Finding(what, str(file), *_advice(file))


def _advice(file: Path) -> tuple[str, str, Weight]:
    if file.name == ".claude.json" or file.name.startswith(".env") or file.suffix == ".env":
        why = "only its owner may read the file; backups and copies of it have the secret, too"
        return why, "keep it in a credential store where there is one", "note"
    why = "every program that is started from there gets it, and copies of the file (dotfiles, backups) have it"
    settings = 'name a program that prints it: "apiKeyHelper" in settings.json'
    return why, settings if file.suffix == ".json" else "read it from a credential store when it is needed", "warning"


def _in_lines(file: Path) -> Iterator[Kept]:
    variables = file.suffix != ".toml"
    for number, line in enumerate(bounded_text(file).split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(("#", "//")) or len(line) > LARGEST // 16:
            continue
        found = False
        pairs = [(a or b, c or d) for a, c, b, d in _VARIABLE.findall(line)] if variables else _ASSIGNED.findall(line)
        for name, value in pairs:
            if kind := is_secret(name, value):
                found = True
                yield Kept(name, kind)
        if not found and (kind := shape_of(line)):
            yield Kept(f"line {number}", kind)


def _in_json(file: Path) -> Iterator[Kept]:
    text = bounded_text(file, _LARGEST_JSON)
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        # Whoever wrote a file that is no JSON may have written a secret into it all the same.
        for number, line in enumerate(text[:LARGEST].split("\n"), 1):
            if kind := shape_of(line):
                yield Kept(f"line {number}", kind)
        return
    yield from _in_value(value)


def _in_value(whole: Any) -> Iterator[Kept]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), whole)]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        path, value = waiting.pop()
        match value:
            case dict() if len(path) < _DEEPEST:
                waiting += [((*path, str(key)), inner) for key, inner in reversed(value.items())]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            case list() if len(path) < _DEEPEST:
                waiting += [((*path, str(n)), inner) for n, inner in reversed([*enumerate(value)])]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            case str() if kind := is_secret(next((k for k in reversed(path) if not k.isdigit()), ""), value[:4096]):
                yield Kept(".".join("***" if shape_of(key) else key for key in path), kind)
            case _:
                pass
