"""Which folder git calls the root of a checkout, and which the root of the repository's main one; reads git's files, runs nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LINE = "gitdir:"
_LONGEST = 4096


def root_of(folder: Path) -> Path | None:
    """Give the nearest folder, from this one up, that has a `.git`; None where there is none."""
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path / ".git")), None)


def main_of(root: Path) -> Path:
    """Give the main checkout of the repository that a worktree belongs to; what is no worktree of one is its own main checkout."""
    with suppress(OSError, ValueError):
        said = _text(root / ".git")
        linked = (root / said.removeprefix(_LINE).strip()).resolve()
        common = (linked / _text(linked / "commondir")).resolve()
        # As git: a worktree is under the repository's `worktrees`, and its repository knows where it is.
        is_known = linked.parent == common / "worktrees" and Path(_text(linked / "gitdir")).resolve() == root / ".git"
        if said.startswith(_LINE) and is_known and common.name == ".git":
            return common.parent
    return root


def is_owned(root: Path, user: int) -> bool:
    """Whether a checkout, its `.git` and its `.claude` (where it has one) all belong to a user."""
    try:
        owners = {root.stat().st_uid, (root / ".git").lstat().st_uid}
    except OSError:
        return False
    with suppress(OSError):
        owners.add((root / ".claude").lstat().st_uid)
    return owners == {user}


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST).decode().strip()
