"""What `trimtab demo` asks of this application: its requests, their worlds, and how a run did."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from trimtab import UsageError

from .app import build
from .book import hostile_book
from .contract import contract
from .fleet import Fleet, with_context
from .score import Score
from .score import score as score_of
from .workflow import CharterBooking

_HERE = Path(__file__).parent
_NEEDED: Mapping[str, type] = {
    "id": str,
    "channel": str,
    "text": str,
    "sender_role": str,
    "expected_subtasks": list,
    "expected_outcome": dict,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a file of requests, and the company that it is put to."""

    line: Mapping[str, Any]
    company: str

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.line["id"])

    @property
    def expected_status(self) -> str:
        """How its run should stand."""
        return str(self.line["expected_outcome"]["status"])


def read_cases(path: Path | None) -> list[Case]:
    """Read requests; None: the thirty of this application. Raises UsageError with the file and the line."""
    source = path or _HERE / "requests.jsonl"
    try:
        text = source.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(source)!r} cannot be read: {error}", hint="name a JSONL file of requests") from None
    cases: list[Case] = []
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip():
            continue
        line = _read(raw, f"{source}:{number}")
        if line["id"] in {case.line["id"] for case in cases}:
            raise UsageError(f"{source}:{number}: id {line['id']!r} is used before", hint="give each request its own")
        cases.append(Case(line, f"{re.sub('[^A-Za-z0-9]', '-', line['id'])[:40]}-{number}".lstrip("-")))
    if not cases:
        raise UsageError(f"{str(source)!r} has no requests", hint="one JSON object a line")
    return cases


def _read(raw: str, where: str) -> Mapping[str, Any]:
    try:
        line: Any = json.loads(raw)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}", hint="one object a line"
        ) from None
    if not isinstance(line, dict):
        raise UsageError(f"{where}: a request is a JSON object", hint="see FORMAT.md of the example")
    known = cast("dict[str, Any]", line)
    check_line(known, where)
    return known


def check_line(known: Mapping[str, Any], where: str) -> None:
    """Refuse a line that is no request of FORMAT.md. Raises UsageError with the place."""
    wrong = [f"{key} ({kind.__name__})" for key, kind in _NEEDED.items() if not isinstance(known.get(key), kind)]
    if wrong or not isinstance(known["expected_outcome"].get("status"), str):
        missing = ", ".join(wrong) or "expected_outcome.status (str)"
        raise UsageError(f"{where}: missing or of the wrong type: {missing}", hint="see FORMAT.md of the example")
    for step in known["expected_subtasks"]:
        _check_step(step, where)
    with_context(_world(), known.get("context") or {})


def _check_step(step: Any, where: str) -> None:
    if not isinstance(step, dict):
        raise UsageError(f"{where}: a subtask is a JSON object", hint="see FORMAT.md of the example")
    given = cast("dict[str, Any]", step)
    kinds: Mapping[str, type] = {"key": str, "specialist": str, "action": str, "depends_on": list, "inputs": dict}
    if wrong := [key for key, kind in kinds.items() if not isinstance(given.get(key), kind)]:
        raise UsageError(
            f"{where}: subtask {given.get('key')!r}: missing or of the wrong type: {', '.join(wrong)}",
            hint="see FORMAT.md of the example",
        )
    action = f"{given['specialist']}.{given['action']}"
    if action not in contract().actions:
        raise UsageError(
            f"{where}: subtask {given['key']!r}: there is no action {action!r}", hint="actions.json lists them"
        )


def answer_book(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Write what simulated models answer, hostile ones too: one entry a request, in their order."""
    return hostile_book(case.line for case in cases)


@cache
def _world() -> Mapping[str, Any]:
    return json.loads((_HERE / "world.json").read_text("utf-8"))


def prepare(folder: Path, case: Case) -> Mapping[str, Any]:
    """Make the company of a request, unless it is there, and give the request as intake would."""
    fleet = Fleet(folder)
    if case.company not in fleet.companies():
        fleet.create(case.company, _world(), case.line.get("context"))
    fleet.close()
    line = case.line
    return {
        "text": line["text"],
        "channel": line["channel"],
        "sender_role": line["sender_role"],
        "company": case.company,
    }


def workflow(folder: Path) -> CharterBooking:
    """Compose the workflow on the companies of a folder; letters stay in memory."""
    return build(folder)


def score(folder: Path, case: Case, status: str, plan: Any) -> Score:
    """Hold a company's books after the run against what was expected."""
    return score_of(case.line, status, Fleet(folder).open(case.company), plan)


def tool_calls(folder: Path, case: Case) -> list[tuple[str, datetime]]:
    """Idempotency key and time of every tool call, as it came in."""
    rows = Fleet(folder).open(case.company).table("SELECT key, at FROM calls ORDER BY n")
    return [(row["key"], datetime.fromisoformat(row["at"])) for row in rows]
