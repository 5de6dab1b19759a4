"""Reads systemd service units with their drop-ins as files, so that they can be looked at where systemd does not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from trimtab.hosts.text import bounded_text

# In the order in which they win (systemd.unit(5)).
_FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
_USERS = (".config/systemd/user", ".local/share/systemd/user")
_MOST = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of a unit, and the line that set it."""

    value: str
    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A service as its files describe it: `[Service]` keys, the last that counts."""

    name: str
    file: Path
    service: Mapping[str, Setting]

    @property
    def edit(self) -> str:
        """The command that opens a drop-in of this unit."""
        own = any(folder in str(self.file) for folder in _USERS)
        return f"systemctl --user edit {self.name}" if own else f"sudo systemctl edit {self.name}"


def find_units(root: Path, home: Path | None = None, names: Sequence[str] = ("trimtab*",)) -> list[Unit]:
    """Read the services with these names (shell patterns; `.service` may be left out), of the system and of the user."""
    folders = [root / folder for folder in _FOLDERS] + [home / folder for folder in _USERS if home]
    patterns = [name if name.endswith(".service") else f"{name}.service" for name in names]
    found: dict[str, Path] = {}
    for file in (file for folder in folders for file in _listed(folder, "*.service")):
        if any(fnmatch(file.name, pattern) for pattern in patterns):
            found.setdefault(file.name, file)
    # A unit that is masked is a link to /dev/null: no plain file.
    return [_read(name, file, folders) for name, file in sorted(found.items()) if file.is_file()][:_MOST]


def _read(name: str, file: Path, folders: Sequence[Path]) -> Unit:
    service: dict[str, Setting] = {}
    for source in (file, *_drop_ins(name, folders)):
        for key, setting in _settings(source):
            if setting.value:
                service[key] = setting
            else:
                # An empty value takes back what was said before.
                service.pop(key, None)
    return Unit(name, file, service)


def _drop_ins(name: str, folders: Sequence[Path]) -> list[Path]:
    stem, at, _ = name.removesuffix(".service").partition("@")
    kinds = ["service.d", *([f"{stem}@.service.d"] if at else []), f"{name}.d"]
    # A file in a more particular folder, or in a folder that wins, takes the place of its namesake.
    files: dict[str, Path] = {}
    for kind in kinds:
        here = [file for folder in folders for file in _listed(folder / kind, "*.conf")]
        files |= {file.name: file for file in reversed(here)}
    return [files[conf] for conf in sorted(files) if files[conf].is_file()]


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))[:_MOST]
    except OSError:
        return []


def _settings(file: Path) -> Iterator[tuple[str, Setting]]:
    section, pending, begun = "", "", 0
    for number, line in enumerate(bounded_text(file).splitlines(), 1):
        text = line.strip()
        if text[:1] in {"#", ";"} or (not text and not pending):
            continue
        begun = begun if pending else number
        pending += text
        if pending.endswith("\\"):
            pending = f"{pending[:-1]} "
            continue
        whole, pending = pending, ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
        elif section == "Service" and "=" in whole:
            key, _, value = whole.partition("=")
            yield key.strip(), Setting(value.strip(), file, begun)
