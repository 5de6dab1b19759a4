"""Text files of a host, read with bounds: whatever stands there, looking at it is quick and stops nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

LARGEST = 2**20

# Where people set limits, aliases and variables for every shell.
_OWN_RC = (
    ".profile",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_aliases",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".kshrc",
    ".xprofile",
    ".config/fish/config.fish",
    ".config/environment.d/*.conf",
    ".pam_environment",
)
_SHARED_RC = ("etc/profile", "etc/profile.d/*.sh", "etc/bash.bashrc", "etc/bashrc", "etc/zsh/*", "etc/environment")


def bounded_text(file: Path, largest: int = LARGEST) -> str:
    """Give what a plain file begins with, up to `largest` bytes; nothing where it is no file or may not be read."""
    try:
        # Opened so that a pipe does not wait for somebody to write into it.
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    with os.fdopen(opened, "rb") as stream:
        try:
            plain = stat.S_ISREG(os.fstat(opened).st_mode)
            return stream.read(largest).decode("utf-8", "replace") if plain else ""
        except OSError:
            return ""


def numbered(file: Path) -> Iterator[tuple[int, str]]:
    """Give the lines of a shell file that are no comments, with their numbers."""
    for number, line in enumerate(bounded_text(file).split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def rc_files(home: Path | None, root: Path | None) -> list[Path]:
    """Give the files that shells read at their start: a user's and everybody's."""
    own = _matching(home, _OWN_RC) if home else []
    return own + (_matching(root, _SHARED_RC) if root else [])


def is_file(path: Path) -> bool:
    """Whether there is a file, as far as may be looked: what stands in a folder of somebody else's is not there."""
    try:
        return path.is_file()
    except OSError:
        return False


def within(file: Path, folders: Sequence[Path]) -> bool:
    """Whether a file, its links followed, lies in one of these folders."""
    try:
        real = file.resolve()
        return any(real.is_relative_to(folder.resolve()) for folder in folders)
    except (OSError, RuntimeError):
        return False


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for pattern in patterns:
        try:
            files += sorted(folder.glob(pattern))[:100] if "*" in pattern else [folder / pattern]
        except OSError:
            continue
    return [file for file in files if is_file(file)]
