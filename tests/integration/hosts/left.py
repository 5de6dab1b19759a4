"""What a rollout left on a host's disk and in the log, held against what must be there."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.hosts.host import Host

VERSIONS = 5
# What is kept beside a file: its versions, their folder, the locks.
KEPT = re.compile(r"/\.[^/]+\.trimtab(/lock|/swap|/\d{6}-[0-9a-f]{64})?$")
# What a host's own folders hold; /proc, /dev, programs and logs apart.
FOLDERS = ("etc", "srv", "opt", "root", "home", "tmp", "var", "run")
APART = ("/var/log", "/var/ballast", "/var/lib/charter/last.json", "/run/faults", "/run/supervisor.sock", "/run/sshd")


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a host. `content`: bytes of a file, target of a link."""

    kind: int
    mode: int
    owner: tuple[int, int]
    content: bytes


def tree(host: Host) -> dict[str, Entry]:
    """Everything that is on a host."""
    root = host.path("/")
    return {path: entry for folder in FOLDERS for path, entry in _below(root, f"/{folder}")}


def _below(root: Path, folder: str) -> Iterator[tuple[str, Entry]]:
    for found in os.scandir(root / folder.lstrip("/")):
        path = f"{folder}/{found.name}"
        if path in APART:
            continue
        seen = found.stat(follow_symlinks=False)
        content = b""
        if found.is_symlink():
            content = os.fsencode(Path(found.path).readlink())
        elif found.is_file():
            content = Path(found.path).read_bytes()
        yield path, Entry(stat.S_IFMT(seen.st_mode), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid), content)
        if found.is_dir(follow_symlinks=False):
            yield from _below(root, path)


def wrong_files(
    host: Host, before: Mapping[str, Entry], meant: Mapping[str, bytes], touched: Collection[str]
) -> Iterator[str]:
    """What is on a host and must not be. `meant`: files with another content than before. `touched`: those that are not looked at."""
    after = tree(host)
    for path in sorted({*before, *after} - set(touched)):
        was, now = before.get(path), after.get(path)
        if now is None:
            yield f"{host.name}: {path} is gone"
        elif was is None:
            yield from [] if KEPT.search(path) else [f"{host.name}: {path} was left behind"]
        elif (was.kind, was.mode, was.owner) != (now.kind, now.mode, now.owner):
            yield f"{host.name}: {path} is {now.mode:o} of {now.owner}, was {was.mode:o} of {was.owner}"
        elif now.content != meant.get(path, was.content):
            yield f"{host.name}: {path} is neither as it was nor as it was meant"
    for folder in [path for path in after if path.endswith(".trimtab")]:
        versions = [path for path in after if path.startswith(f"{folder}/0")]
        if len(versions) > VERSIONS or after[folder].mode != 0o700:
            yield f"{host.name}: {folder} keeps {len(versions)} versions and is {after[folder].mode:o}"


def wrong_numbers(table: str, key: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines that are missing, doubled, or say not by whom."""
    for name in {row[key] for row in rows}:
        own = [row for row in rows if row[key] == name]
        if [row["number"] for row in own] != list(range(own[0]["number"], own[0]["number"] + len(own))):
            yield f"{table} {name}: numbers {[row['number'] for row in own]}"
        if not all(row["by"] for row in own):
            yield f"{table} {name}: a line says not by whom"
