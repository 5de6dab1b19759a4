"""Where the terminal was told to ask nobody: aliases, settings and accepted warnings. Names and lines only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trimtab.core.finding import Finding, Weight
from trimtab.hosts.text import bounded_text, is_file, numbered, rc_files, within

_LARGEST = 16 * 2**20
_FLAG = re.compile(r"--(?:allow-)?dangerously-skip-permissions|--permission-mode[= ]+['\"]?bypassPermissions")
_ROOT = re.compile(r"(?:^|[\s;&])(?:export\s+)?IS_SANDBOX=['\"]?(?:1|true)|set\s+-g?x\s+IS_SANDBOX\s+(?:1|true)")
_EVERYTHING = re.compile(r"(?:Bash|\*)(?:\(\s*(?:\*|:\*)?\s*\))?")
_WHY = "whatever a page, an issue or a tool's answer talks it into is done with the rights of the user"


def permission_findings(
    home: Path | None, project: Path | None, *, managed: Path | None = None, root: Path | None = None
) -> list[Finding]:
    """Look for permissions that are skipped, in shell files and settings; `managed` is the folder of managed settings.

    Changes nothing; links that lead out of these folders are not followed.
    """
    folders = [folder for folder in (home, project, managed, root / "etc" if root else None) if folder]
    settings = [file for file in _settings(home, project, managed) if within(file, folders)]
    read = [(file, value) for file in settings if (value := _object(file))]
    # What an administrator forbids, no alias can do.
    forbidden = any(managed in file.parents and _forbids(value) for file, value in read if managed)
    found = [*_of_shells([file for file in rc_files(home, root) if within(file, folders)])]
    for file, value in read:
        found += _of_settings(file, value)
    accepted = _object(home / ".claude.json").get("bypassPermissionsModeAccepted") if home else False
    if accepted is True and home:
        why = "the warning of that mode was accepted here: it starts without a word from now on"
        mend = f"take the key bypassPermissionsModeAccepted out of {home / '.claude.json'}"
        found.append(Finding("skipping permissions was accepted", str(home / ".claude.json"), why, mend, "note"))
    weight: Weight = "note"
    return (
        [Finding(f.what, f.where, "managed settings forbid it", f.mend, weight) for f in found] if forbidden else found
    )


def _settings(home: Path | None, project: Path | None, managed: Path | None) -> list[Path]:
    names = (".claude/settings.json", ".claude/settings.local.json")
    files = [folder / name for folder in dict.fromkeys((home, project)) if folder for name in names]
    if managed:
        files += [managed / "managed-settings.json", *sorted((managed / "managed-settings.d").glob("*.json"))[:100]]
    return [file for file in files if is_file(file)]


def _of_shells(files: Sequence[Path]) -> Iterator[Finding]:
    for file in files:
        for number, line in numbered(file):
            where = f"{file}:{number}"
            if match := _FLAG.search(line):
                mend = "take the flag out, and allow what is needed under permissions.allow in .claude/settings.json"
                yield Finding(f"`{match[0]}` in every session", where, _WHY, mend)
            if _ROOT.search(line):
                why = "the terminal then takes --dangerously-skip-permissions as root, too"
                yield Finding("IS_SANDBOX says that this is a sandbox", where, why, "take the line out")


def _of_settings(file: Path, value: Mapping[str, Any]) -> Iterator[Finding]:
    where = str(file)
    permissions, env = _mapping(value.get("permissions")), _mapping(value.get("env"))
    if permissions.get("defaultMode") == "bypassPermissions":
        mend = f'"permissions": {{"defaultMode": "default"}} in {file}'
        yield Finding("permissions.defaultMode is 'bypassPermissions'", where, _WHY, mend)
    if value.get("skipDangerousModePermissionPrompt") is True:
        why = "the warning before permissions are skipped is not shown"
        yield Finding("skipDangerousModePermissionPrompt is true", where, why, f"take the key out of {file}")
    if str(env.get("IS_SANDBOX", "")).lower() in {"1", "true"}:
        why = "the terminal then takes --dangerously-skip-permissions as root, too"
        yield Finding("env.IS_SANDBOX says that this is a sandbox", where, why, f"take the key out of {file}")
    allowed = permissions.get("allow")
    wide = [rule for rule in (allowed if isinstance(allowed, list) else []) if _is_wide(rule)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if wide:
        mend = f"name the commands that may run in {file}, as Bash(git status:*)"
        yield Finding(f"permissions.allow has {wide[0]!r}: any command runs unasked", where, _WHY, mend)


def _is_wide(rule: object) -> bool:
    return isinstance(rule, str) and _EVERYTHING.fullmatch(rule.strip()) is not None


def _forbids(value: Mapping[str, Any]) -> bool:
    switch = "disableBypassPermissionsMode"
    return "disable" in (value.get(switch), _mapping(value.get("permissions")).get(switch))


def _object(file: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(bounded_text(file, _LARGEST).removeprefix("\ufeff")))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
