"""Where the terminal's files are: those of a person, of a project, of the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MANAGED = Path("/etc/claude-code")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session starts: a home, a project, the folder of managed settings, and the environment of the shell."""

    home: Path
    project: Path
    managed: Path = MANAGED
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def here(cls, home: str | None = None, project: str | None = None) -> Place:
        """Give the place of this process; a home or a project that is named takes the place of its own.

        Another home is another person's: what this shell says of CLAUDE_CONFIG_DIR is not said there.
        """
        env = dict(os.environ)
        if home is not None:
            env.pop("CLAUDE_CONFIG_DIR", None)
        found = Path(home) if home is not None else Path(env.get("HOME") or Path.home())
        return cls(found.absolute(), Path(project or Path.cwd()).absolute(), env=env)

    @property
    def folder(self) -> Path:
        """The folder of the person's settings, agents and transcripts."""
        named = self.env.get("CLAUDE_CONFIG_DIR")
        return Path(named) if named else self.home / ".claude"

    @property
    def user(self) -> Path:
        """The person's settings file."""
        return self.folder / "settings.json"

    @property
    def shared(self) -> Path:
        """The project's settings file, shared with everybody who works on it."""
        return self.project / ".claude" / "settings.json"

    @property
    def local(self) -> Path:
        """The project's settings file that is this person's own."""
        return self.project / ".claude" / "settings.local.json"

    @property
    def managed_files(self) -> tuple[Path, ...]:
        """Every file of managed settings, the strongest last: a drop-in of a later name beats one of an earlier name."""
        base = self.managed / "managed-settings.json"
        try:
            names = sorted(path.name for path in (self.managed / "managed-settings.d").iterdir())
        except OSError:
            names = []
        drops = [
            self.managed / "managed-settings.d" / n for n in names if n.endswith(".json") and not n.startswith(".")
        ]
        return (base, *drops)

    @property
    def agents(self) -> tuple[Path, ...]:
        """The folders of subagents, the strongest last: the person's, those on the way to the project, the managed one."""
        return (self.folder / "agents", *self._above, self.managed / ".claude" / "agents")

    @property
    def _above(self) -> tuple[Path, ...]:
        """The project's folder of subagents and those of the folders above it, up to a repository's root or below the home."""
        found: list[Path] = []
        for folder in (self.project, *self.project.parents):
            if folder == self.home:
                break
            found.append(folder / ".claude" / "agents")
            if (folder / ".git").exists():
                break
        return tuple(reversed(found))

    @property
    def transcripts(self) -> Path:
        """The folder where sessions of this project are written."""
        return self.folder / "projects" / re.sub(r"[^a-zA-Z0-9]", "-", str(self.project.resolve()))
