"""What the cgroups of this process leave it: memory and tasks, in both versions of cgroups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trimtab.hosts.text import bounded_text

# Version 1 writes "no limit" as the largest number of whole pages.
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The least of each limit on the way up, and the file that says it; None: no limit."""

    memory: int | None = None
    memory_from: str = ""
    tasks: int | None = None
    tasks_from: str = ""


def cgroup_of(root: Path) -> Cgroup:
    """Read the limits of this process's cgroups below `root`."""
    paths = dict(_paths(bounded_text(root / "proc/self/cgroup")))
    folder = root / "sys/fs/cgroup"
    memory = _least(folder, paths.get(""), "memory.max") or _least(
        folder / "memory", paths.get("memory"), "memory.limit_in_bytes"
    )
    tasks = _least(folder, paths.get(""), "pids.max") or _least(folder / "pids", paths.get("pids"), "pids.max")
    return Cgroup(*(memory or (None, "")), *(tasks or (None, "")))


def _paths(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, path


def _least(mount: Path, path: str | None, name: str) -> tuple[int, str] | None:
    # In a container the path may be the host's, which is not there: then the mount itself is ours.
    steps = PurePosixPath(path or "/").relative_to("/") if (path or "/").startswith("/") else PurePosixPath()
    folders = [mount / steps, *(mount / above for above in steps.parents), mount]
    found: list[tuple[int, str]] = []
    for file in dict.fromkeys(folder / name for folder in folders):
        text = bounded_text(file).strip()
        if text.isdecimal() and int(text) < _NO_LIMIT:
            found.append((int(text), str(file)))
    return min(found, default=None)
