"""Finds transcripts below the terminal's folder and reads what is new in each, a line at a time and within bounded memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

LARGEST_LINE = 32 * 2**20
_EDGE = 1024
_BEGAN = re.compile(rb'"timestamp"\s*:\s*"([0-9T:.Z+-]{10,40})"')


@dataclass(frozen=True, slots=True)
class Found:
    """A transcript that is there. `agent` is what `.meta.json` calls it, empty for a session's own file."""

    path: Path
    session: str
    agent: str
    inode: int
    size: int
    mtime: int


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line and the place behind it; `text` None: it is longer than `LARGEST_LINE`."""

    text: bytes | None
    end: int


def find(folder: Path) -> tuple[list[Found], list[str]]:
    """Find the transcripts below `folder`/projects, and say what could not be looked into."""
    found: list[Found] = []
    shut: list[str] = []
    for project in _listed(folder / "projects", shut):
        if not project.is_dir(follow_symlinks=False):
            continue
        for entry in _listed(project.path, shut):
            if entry.name.endswith(".jsonl"):
                _add(found, entry, entry.name.removesuffix(".jsonl"), "", shut)
            elif entry.is_dir(follow_symlinks=False):
                for sub in _listed(os.path.join(entry.path, "subagents"), shut):  # noqa: PTH118 - one Path for each of 10,000 files takes a second
                    if sub.name.endswith(".jsonl"):
                        _add(found, sub, entry.name, "subagent", shut)
    return found, shut


def _listed(folder: Path | str, shut: list[str]) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        shut.append(f"{folder}: {error.strerror}")
        return ()


def _add(found: list[Found], entry: os.DirEntry[str], session: str, agent: str, shut: list[str]) -> None:
    try:
        # A pipe or a device would be waited for; a link leads to a file that counts where it is.
        if entry.is_file(follow_symlinks=False):
            told = entry.stat(follow_symlinks=False)
            found.append(Found(Path(entry.path), session, agent, told.st_ino, told.st_size, told.st_mtime_ns))
    except OSError as error:
        shut.append(f"{entry.path}: {error.strerror}")


def agent_of(transcript: Path) -> str:
    """Read what kind of subagent wrote a transcript."""
    try:
        with transcript.with_suffix(".meta.json").open("rb") as file:
            told: Any = json.loads(file.read(1 << 16))
        return str(told["agentType"])[:100].encode(errors="replace").decode() or "subagent"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "subagent"


def began(path: Path) -> str:
    """Give the time of a file's first row, as it is written: a fork begins after the session whose rows it copies."""
    try:
        with path.open("rb") as file:
            first = _BEGAN.search(file.read(8 * _EDGE))
    except OSError:
        return ""
    return first[1].decode() if first else ""


def edges(file: BinaryIO, end: int) -> str:
    """Name the first and last bytes of what was read, to notice that a file was written anew."""
    file.seek(0)
    first = file.read(min(_EDGE, end))
    file.seek(max(0, end - _EDGE))
    return blake2b(first + file.read(min(_EDGE, end)), digest_size=8).hexdigest()


def lines(file: BinaryIO, start: int, end: int) -> Iterator[Line]:
    """Give the whole lines that begin between `start` and `end`; one that is not finished is left for the next time."""
    file.seek(start)
    at = start
    while at < end:
        text = file.readline(LARGEST_LINE)
        at += len(text)
        whole = text.endswith(b"\n")
        while not whole and len(text) == LARGEST_LINE:
            rest = file.readline(LARGEST_LINE)
            at += len(rest)
            if rest.endswith(b"\n"):
                yield Line(None, at)
                text = b""
                break
            if len(rest) < LARGEST_LINE:
                return
        if whole:
            yield Line(text, at)
        elif text:
            return
