"""Where the terminal's files are: those of a person, of a project, of the machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from trimtab.terminal.checkout import is_owned, main_of, root_of

MANAGED = Path("/etc/claude-code")
MARK = "sonnet1m45MigrationComplete"


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
        # An empty one counts: the terminal then takes the folder where it is started.
        return self.home / ".claude" if named is None else self.project / named

    @property
    def user(self) -> Path:
        """The person's settings file."""
        return self.folder / "settings.json"

    @property
    def is_marked(self) -> bool:
        """Whether an older terminal noted that it has rewritten `sonnet[1m]` in the person's settings, which it does but once."""
        folder = self.home if self.env.get("CLAUDE_CONFIG_DIR") is None else self.folder
        try:
            noted: object = json.loads((folder / ".claude.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(noted, dict) and cast("dict[str, object]", noted).get(MARK) is True

    @property
    def shared(self) -> Path:
        """The project's settings file, shared with everybody who works on it."""
        return self.project / ".claude" / "settings.json"

    @property
    def local(self) -> Path:
        """The project's settings file that is this person's own."""
        return self.project / ".claude" / "settings.local.json"

    @property
    def rooted(self) -> Path | None:
        """The same file of the repository's main checkout, where a newer terminal keeps it for all its folders and worktrees.

        None where that is this very file, where the root is the home (dotfiles), or where not all of it is the person's own.
        """
        here = self.project.resolve()
        root = root_of(here)
        main = root and main_of(root)
        if main is None or main in {here, self.home.resolve()} or not is_owned(main, self._user):
            return None
        return main / ".claude" / "settings.local.json"

    @property
    def _user(self) -> int:
        """Who starts the terminal here: root looks at somebody's home on their behalf."""
        try:
            return os.geteuid() or self.home.stat().st_uid
        except OSError:
            return 0

    @property
    def managed_files(self) -> tuple[Path, ...]:
        """Every file of managed settings, the strongest last: a drop-in of a later name beats one of an earlier name."""
        base = self.managed / "managed-settings.json"
        try:
            names = sorted(path.name for path in (self.managed / "managed-settings.d").iterdir())
        except OSError:
            names = []
        folder = self.managed / "managed-settings.d"
        drops = [folder / n for n in names if n.endswith(".json") and not n.startswith(".")]
        return (base, *(drop for drop in drops if not drop.is_dir()))

    @property
    def agents(self) -> tuple[Path, ...]:
        """The folders of subagents, the strongest last: the person's, those on the way to the project, the managed one."""
        return (self.folder / "agents", *self._above, self.managed / ".claude" / "agents")

    @property
    def _above(self) -> tuple[Path, ...]:
        """The project's folder of subagents and those of the folders above it, up to a repository's root or below the home.

        A worktree whose root has no such folder has that of the repository's main checkout besides.
        """
        found: list[Path] = []
        for folder in (self.project, *self.project.parents):
            if folder == self.home:
                break
            found.append(folder / ".claude" / "agents")
            if (folder / ".git").exists():
                root = folder.resolve()
                if (main := main_of(root)) != root and not found[-1].exists():
                    found.append(main / ".claude" / "agents")
                break
        return tuple(reversed(found))

    @property
    def transcripts(self) -> Path:
        """The folder where sessions of this project are written."""
        return self.folder / "projects" / re.sub(r"[^a-zA-Z0-9]", "-", str(self.project.resolve()))
