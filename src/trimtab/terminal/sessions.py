"""What a session that is continued would run: its own last model, whatever the settings say by now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.terminal.allow import Lists
from trimtab.terminal.candidates import Candidate

_CHUNK = 256 * 1024
_NO_MODEL = "<synthetic>"


@dataclass(frozen=True, slots=True)
class Resumed:
    """The latest session of a project: the model it would go on with, and why."""

    session: str
    model: str
    why: str


def last_model(folder: Path, asked: list[Candidate], lists: Lists) -> Resumed | None:
    """Read the last model of the latest session; --model, ANTHROPIC_MODEL and an allow list move it, nothing else does."""
    try:
        files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return None
    for path in files:
        model = next(_models(path), None)
        if model is None:
            continue
        stronger = next((c for c in asked if c.layer in {"flag", "ANTHROPIC_MODEL"} and c.counts and c.value), None)
        if stronger is not None and stronger.value is not None:
            return Resumed(path.stem, lists.names.sent(stronger.value), f"{stronger.layer} moves it")
        if not lists.allows(model):
            return Resumed(path.stem, lists.default(lists.names.family("opus")) or "", "its own model is not allowed")
        return Resumed(path.stem, model, "a session keeps its last model")
    return None


def _models(path: Path) -> Iterator[str]:
    """Give the models of a transcript, the last first."""
    for line in _lines_backwards(path):
        if b'"assistant"' not in line:
            continue
        try:
            row: Any = json.loads(line)
            model = row["message"]["model"] if row["type"] == "assistant" and not row.get("isSidechain") else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if isinstance(model, str) and model != _NO_MODEL:
            yield model


def _lines_backwards(path: Path) -> Iterator[bytes]:
    rest = b""
    try:
        with path.open("rb") as file:
            at = file.seek(0, 2)
            while at > 0:
                size = min(_CHUNK, at)
                at -= size
                file.seek(at)
                first, *others = (file.read(size) + rest).split(b"\n")
                rest = first
                yield from reversed(others)
            yield rest
    except OSError:
        return
