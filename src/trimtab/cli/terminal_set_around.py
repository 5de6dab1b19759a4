"""What `terminal set` and `terminal undo` know of where they work: files, names of models, and what the terminal makes of a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.core.errors import UsageError
from trimtab.terminal import names as terminal_names
from trimtab.terminal.edit_model import Names
from trimtab.terminal.edit_set import DROP_IN, Scope
from trimtab.terminal.layers import read_layers
from trimtab.terminal.place import Place
from trimtab.terminal.resolve import Layer, Resolution, resolve
from trimtab.terminal.settings import Parsed, parse
from trimtab.terminal.versions import NEWEST, installed, nearest

if TYPE_CHECKING:
    from trimtab.models.catalogue import Catalogue

_PROVIDER = "anthropic"


@dataclass(frozen=True, slots=True)
class Beaten:
    """Why a fresh session does not run what was asked for, and the one command that mends it."""

    problem: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Around:
    """A place, the version of its terminal (`installed`: the one that is installed, None: there is none), and models that are known."""

    place: Place
    version: str
    installed: str | None
    catalogue: Catalogue

    @property
    def names(self) -> Names:
        """Give what is known of names."""
        return Names(self.resolved().aliases, self.version, self._known, self._near)

    def path(self, scope: Scope) -> Path:
        """Name the file of a scope; local settings are the repository's where the version keeps them there."""
        there = self.place
        local = (nearest(self.version).rooted and there.rooted) or there.local
        drop_in = there.managed / "managed-settings.d" / DROP_IN
        return {"user": there.user, "project": there.shared, "local": local, "managed": drop_in}[scope]

    def check(self, text: str, path: Path) -> None:
        """Refuse a text that the terminal would drop, or that would keep it from starting. Raises UsageError."""
        found = self._read(text, path)
        if found.values is None:
            worst = next((p for p in found.problems if p.weight == "error"), found.problems[0])
            raise UsageError(f"{worst.where}: {worst.what}: {worst.why}; nothing was changed", hint=worst.mend)

    def faults(self, text: str | None, path: Path) -> list[str]:
        """Say what else is wrong with a file that the terminal takes."""
        return [f"{found.where}: {found.what}: {found.why}" for found in self._read(text or "", path).problems]

    def remarks(self, model: str) -> list[str]:
        """Say what is wrong with a model: retired, or soon to be."""
        from trimtab.models.check import Named, check_models

        named = Named(f"{_PROVIDER}:{terminal_names.plain(model)}", "")
        found = check_models([named], self.catalogue, datetime.now(UTC).date())
        return [f"{finding.what}: {finding.why}" for finding in found if not finding.is_fine]

    def loose(self, allowed: Sequence[str]) -> list[str]:
        """Say which models other managed files let run besides those of a lock: the terminal puts their lists together."""
        ours = str(self.path("managed"))
        more: dict[str, str] = {}
        for file in read_layers(self.place, version=self.version).of("managed"):
            listed = file.values.get("availableModels")
            if file.path != ours and isinstance(listed, list):
                more |= {str(name): file.path for name in listed if name not in allowed}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return [f"{name} may run, too: availableModels in {path} has it" for name, path in more.items()]

    def resolved(self) -> Resolution:
        """Say what a fresh session runs here, by its files."""
        return resolve(self.place, self.version)

    def beaten(self, found: Resolution, wanted: str) -> Beaten:
        """Say why what runs is not what was wanted; empty where it is."""
        name = terminal_names.plain(wanted)
        if found.model == name:
            return Beaten()
        if not found.runs:
            worst = next((p for p in found.problems if p.weight == "error"), None)
            told = f": {worst.where}: {worst.what}" if worst else ""
            return Beaten(f"no session starts here{told}", worst.mend if worst else "trimtab terminal show")
        if found.model == terminal_names.Names(nearest(self.version), self.place.env).sent(name):
            problem = f"Claude Code {self.version} sends {name} as {found.model}"
            return Beaten(problem, f"name that one: trimtab terminal set {found.model}")
        by = next((layer for layer in found.layers if not layer.lost), None)
        decided = f"{found.source} decides" + (f" ({found.key})" if found.key and found.key not in found.source else "")
        return Beaten(f"a fresh session runs {found.model}, not {name}: {decided}", _mend(by, name))

    def _read(self, text: str, path: Path) -> Parsed:
        scope: Scope = "managed" if path == self.path("managed") else "user"
        return parse(text.encode(), str(path), scope, self.version)

    def _known(self, model: str) -> bool:
        return self.catalogue.model(f"{_PROVIDER}:{model}") is not None

    def _near(self, model: str) -> list[str]:
        return [full.partition(":")[2] for full in self.catalogue.near(f"{_PROVIDER}:{model}")]


def _mend(by: Layer | None, model: str) -> str:
    if by is not None and by.layer == "ANTHROPIC_MODEL" and not by.file:
        return "unset ANTHROPIC_MODEL"
    if by is not None and by.layer in {"local", "project", "user"}:
        return f"trimtab terminal set {model} --scope {by.layer}"
    return f"trimtab terminal set {model} --lock"


def around(home: Path | None, project: Path | None, version: str | None) -> Around:
    """Look at where a command works: the home and project given, or those of whoever runs it."""
    from trimtab.models.catalogue import Catalogue

    place = Place.here(str(home) if home else None, str(project) if project else None)
    found = installed(env=place.env)[1]
    return Around(place, version or found or NEWEST, found, Catalogue())
