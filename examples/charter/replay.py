"""What `trimtab replay` asks of this application: a company for each replayed run that nobody will miss, and how the run did."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from trimtab import UsageError

from .app import workflow
from .demo import Case, check_line, prepare
from .fleet import Fleet
from .mailer import MemoryMailer
from .score import score as score_of
from .workflow import CharterBooking

_COMPANY = "replayed"


@contextmanager
def sandbox(folder: Path, given: Mapping[str, Any]) -> Generator[tuple[CharterBooking, Mapping[str, Any]]]:
    """Give the workflow on a company of its own in `folder`, and the request as intake would; letters stay in memory.

    `given` is a line in the format of FORMAT.md, whose company is made as the line says, or a request as it was recorded. Of that
    the company is made anew from what the real one was made of, which is read and not opened.
    """
    if "expected_outcome" in given:
        check_line(given, f"request {given.get('id')!r}")
        request = prepare(folder, Case(given, _COMPANY))
    else:
        fleet = Fleet(folder)
        if _COMPANY not in fleet.companies():
            fleet.create(_COMPANY, _founded(str(given.get("company"))))
        fleet.close()
        request = {**given, "company": _COMPANY}
    fleet = Fleet(folder)
    try:
        yield workflow(fleet, MemoryMailer()), request
    finally:
        fleet.close()


def score(folder: Path, given: Mapping[str, Any], status: str, plan: Any) -> tuple[bool, list[str]] | None:
    """Whether a run ended as expected and did nothing forbidden; None where nobody wrote down what is expected."""
    if "expected_outcome" not in given:
        return None
    fleet = Fleet(folder)
    found = score_of(given, status, fleet.open(_COMPANY), plan)
    fleet.close()
    expected = given["expected_outcome"]["status"]
    wrong = [] if found.matched else [f"expected {expected}"]
    return found.matched and not found.must_not_hits, [*wrong, *found.must_not_hits, *found.misjudged]


def _founded(company: str) -> Mapping[str, Any]:
    path = Path(os.environ.get("CHARTER_COMPANIES", "companies")) / f"{company}.sqlite"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return json.loads(db.execute("SELECT value FROM meta WHERE key = 'world'").fetchone()[0])
    except sqlite3.Error as error:
        raise UsageError(f"company {company!r} cannot be read: {error}", hint="see CHARTER_COMPANIES") from None
