"""Which requests are replayed: the lines of a file, or those that a store recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from trimtab.core.errors import UsageError
from trimtab.core.outcome import Status
from trimtab.core.values import Json
from trimtab.journal.reader import Journal

_LAST = re.compile(r"last-(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_HINT = "--over last-30d, or --over FILE.jsonl"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to replay. `given` is what the file or the journal holds; `recorded` the run it was, where it was one."""

    id: str
    workflow: str
    given: Json
    recorded: str = ""


def is_span(over: str) -> timedelta | None:
    """Read `last-30d`, `last-12h` or `last-90m`; None: it is a file."""
    found = _LAST.fullmatch(over)
    if found is None:
        return None
    span = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not span:
        raise UsageError(f"--over {over} is no time at all", hint=_HINT)
    return span


def read_file(path: Path, workflow: str) -> list[Asked]:
    """Read JSONL, one request a line; its `id` names it, else its line. Raises UsageError with the place of a mistake."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{str(path)!r} cannot be read: {reason}", hint=_HINT) from None
    found: dict[str, Asked] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        if raw.strip():
            given = _read(raw, f"{path}:{number}")
            named = given.get("id")
            id_ = named if isinstance(named, str) and named else f"line-{number}"
            if id_ in found:
                raise UsageError(f"{path}:{number}: id {id_!r} is used before", hint="give each request its own")
            found[id_] = Asked(id_, workflow, given)
    if not found:
        raise UsageError(f"{str(path)!r} has no requests", hint="one JSON object a line")
    return list(found.values())


def _read(raw: str, where: str) -> dict[str, Any]:
    try:
        line: object = json.loads(raw)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}", hint="one object a line"
        ) from None
    except RecursionError:
        raise UsageError(f"{where}: too deep to be read", hint="one object a line") from None
    if not isinstance(line, dict):
        raise UsageError(f"{where}: a request is a JSON object", hint="one object a line")
    return cast("dict[str, Any]", line)


def recorded(
    store: Path, environment: str, workflows: Collection[str], since: datetime
) -> tuple[list[Asked], list[str]]:
    """Give the requests of an environment since then, and what of them is left out.

    Every run that came to stand counts, however it did: to take only what went well would favour the map that did it.
    """
    with Journal(store) as journal:
        runs = journal.measures(since=since, environment=environment)
        known = [run for run in runs if run.workflow in workflows]
        kept = [run for run in known if run.status not in (None, Status.CANCELLED)]
        asked = [
            Asked(run.key if len(workflows) == 1 else f"{run.workflow}:{run.key}", run.workflow, request, run.run_id)
            for run in kept
            for request in [journal.run(run.run_id).request]
        ]
    notes: list[str] = []
    if left := len(known) - len(kept):
        notes.append(f"{left} runs were cancelled or have not come to stand yet, and are left out")
    if left := len(runs) - len(known):
        notes.append(f"{left} runs are of workflows that this application has not, and are left out")
    if not asked:
        raise UsageError(
            f"{str(store)!r} has no run in environment {environment!r} since {since:%Y-%m-%d %H:%M} that came to stand",
            hint="name another --over, --environment or --store; trimtab runs list shows what there is",
        )
    return asked, notes
