"""Changes a settings file and takes a change back: what is to be written is looked at first, and what was there is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from trimtab.core.errors import UsageError
from trimtab.core.values import Json
from trimtab.terminal.edit import Edit, plan_edit, raw_values, take_back
from trimtab.terminal.edit_file import Found, Fresh, look, replace
from trimtab.terminal.history import Entry, drop, entry_of, push

Scope: TypeAlias = Literal["user", "project", "local", "managed"]
SCOPES: tuple[Scope, ...] = ("user", "project", "local", "managed")
DROP_IN = "50-trimtab.json"

# What other users, or a repository, have to read is made so that they can.
_FRESH: Mapping[str, Fresh] = {
    "user": Fresh(0o600, 0o700),
    "project": Fresh(0o644, 0o755),
    "local": Fresh(0o600, 0o755),
    "managed": Fresh(0o644, 0o755),
}

# Says what would make the terminal drop the file, given its text and path; raises UsageError.
Check: TypeAlias = Callable[[str, Path], None]


@dataclass(frozen=True, slots=True)
class Changed:
    """What was written: the file as named and where its links lead, the change, and the version that was kept (None: no change)."""

    path: Path
    real: Path
    edit: Edit
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back.

    how:  `exact` (the file is what it was, byte for byte), `keys` (somebody changed the file since: only what trimtab had set was
          taken back), `nothing` (nothing of the change is in the file), `refused` (somebody set the same keys again: `lost`).
    """

    how: Literal["exact", "keys", "nothing", "refused"]
    entry: Entry
    edit: Edit
    lost: tuple[str, ...] = ()


def model_changes(model: str, allow: Sequence[str] = (), *, lock: bool = False) -> dict[str, Json]:
    """Give the keys that set a model, or that let nothing else run; the model itself is first, as others fall to the first.

    A lock says the same twice: 2.1.197 does not know `availableModelsMatch`, and without the other key a list alone sent whoever
    asked for a model outside it to that version's Opus.
    """
    if not lock:
        return {"model": model}
    allowed = [*dict.fromkeys((model, *allow))]
    return {"model": model, "availableModels": allowed, "availableModelsMatch": "exact", "enforceAvailableModels": True}


def preview(path: Path, changes: Mapping[str, Json], check: Check) -> Changed:
    """Say what `change` would do, and do nothing. Raises UsageError as it would."""
    found = look(path)
    return Changed(path, found.real, _planned(found, changes, check), None)


def change(
    path: Path, changes: Mapping[str, Json], check: Check, *, scope: Scope, state: Path, env: Mapping[str, str]
) -> Changed:
    """Give top-level keys of a settings file these values (None: none). Raises UsageError; then the file is as it was."""
    kept: list[Entry] = []

    def make(found: Found) -> bytes | None:
        text = _planned(found, changes, check).new_text
        return None if text is None else text.encode()

    def keep(found: Found, written: bytes | None) -> Callable[[], None]:
        kept[:] = [push(state, entry_of(found, written, scope, env))]
        return partial(drop, kept[0].kept)

    found, written = replace(path, make, keep, _FRESH[scope])
    edit = Edit(found.text, None if written is None else written.decode())
    return Changed(path, found.real, edit, kept[0] if edit.changes and kept else None)


def undo(entry: Entry, *, try_only: bool = False) -> Undone:
    """Put back what a file held before a change, or only the keys of it where somebody changed the file since.

    Where these keys are others' by now nothing is done. Raises UsageError where the file cannot be read or written.
    """
    planned: list[Undone] = []

    def make(found: Found) -> bytes | None:
        planned[:] = [_taken_back(entry, found)]
        if planned[0].how in {"nothing", "refused"}:
            return found.content
        if planned[0].how == "exact":
            return entry.previous
        text = planned[0].edit.new_text
        return None if text is None else text.encode()

    # The file itself, not the name that led to it: a link may lead elsewhere by now.
    if try_only:
        make(look(entry.real))
    else:
        replace(entry.real, make, lambda _found, _new: lambda: None, _fresh(entry))
        if planned[0].how != "refused":
            drop(entry.kept)
    return planned[0]


def _fresh(entry: Entry) -> Fresh:
    usual = _FRESH.get(entry.scope, Fresh())
    return usual if entry.mode is None else Fresh(entry.mode, usual.folder_mode)


def _taken_back(entry: Entry, found: Found) -> Undone:
    previous, written = entry.text(entry.previous), entry.text(entry.written)
    if found.content == entry.written:
        return Undone("exact", entry, Edit(found.text, previous))
    if found.content is None:
        return Undone("nothing", entry, Edit(None, None))
    edit, lost = take_back(found.text, previous, written, str(entry.named))
    if lost:
        return Undone("refused", entry, edit, lost)
    return Undone("keys" if edit.changes else "nothing", entry, edit)


def _planned(found: Found, changes: Mapping[str, Json], check: Check) -> Edit:
    where = str(found.path)
    edit = plan_edit(found.text, changes, where)
    if edit.new_text is not None:
        _see_that_it_may_run(edit.new_text, changes, where)
        check(edit.new_text, found.path)
    return edit


def _see_that_it_may_run(text: str, changes: Mapping[str, Json], where: str) -> None:
    """Refuse a model that an exact list in the same file does not have: the terminal would take another, and say nothing."""
    raws = raw_values(text, where)
    if "model" not in changes or "availableModels" in changes or raws.get("availableModelsMatch") != '"exact"':
        return
    allowed, model = json.loads(raws.get("availableModels", "null")), changes["model"]
    if isinstance(allowed, list) and model not in allowed:
        hint = f"lock this one instead: trimtab terminal set {model} --lock; or first: trimtab terminal undo --scope managed"
        text = f"{where}: availableModels does not have {model!r}: the terminal would run another, and say nothing"
        raise UsageError(text, hint=hint)
