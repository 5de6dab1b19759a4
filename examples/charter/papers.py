"""Papers of a trip: guest page, waivers, manifest, checklist."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from . import addresses
from .wire import local, minute


@dataclass(frozen=True, slots=True)
class Page:
    """A guest page. `token` is the secret part of its address."""

    booking_id: str
    token: str
    start: datetime
    end: datetime
    without: tuple[str, ...]
    live: bool


class Papers:
    """The document tables of an open transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def page(self, booking_id: str) -> Page | None:
        """Find a guest page, live or withdrawn."""
        row = self._db.execute("SELECT * FROM pages WHERE booking_id = ?", (booking_id,)).fetchone()
        if row is None:
            return None
        without = tuple(json.loads(row["without"]))
        return Page(
            booking_id, row["token"], local(row["start"]), local(row["finish"]), without, row["state"] == "live"
        )

    def put_page(self, page: Page) -> Page:
        """Write a guest page."""
        self._db.execute(
            "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(page.booking_id, page.token, minute(page.start), minute(page.end), json.dumps(page.without)),
                "live" if page.live else "withdrawn",
            ),
        )
        return page

    def drop_page(self, booking_id: str) -> None:
        """Forget a guest page that never was."""
        self._db.execute("DELETE FROM pages WHERE booking_id = ?", (booking_id,))

    def issue_waivers(self, booking_id: str, adults: int, minors: int, *, guardians_known: bool) -> list[str]:
        """Make one waiver a guest, a guardian's for each minor; earlier ones that nobody signed become void."""
        self._db.execute("UPDATE waivers SET state = 'void' WHERE booking_id = ? AND state = 'open'", (booking_id,))
        signed = {
            row["kind"]: row["count"]
            for row in self._db.execute(
                "SELECT kind, count(*) AS count FROM waivers WHERE booking_id = ? AND state = 'signed' GROUP BY kind",
                (booking_id,),
            )
        }
        kinds = ["adult"] * (adults - signed.get("adult", 0)) + ["guardian"] * (minors - signed.get("guardian", 0))
        rows = [(booking_id, kind, addresses.secret(), guardians_known) for kind in kinds]
        self._db.executemany(
            "INSERT INTO waivers (booking_id, kind, token, guardian_known, state) VALUES (?, ?, ?, ?, 'open')", rows
        )
        return [row[2] for row in rows]

    def waivers(self, booking_id: str) -> tuple[int, int]:
        """Count the waivers of a booking: open, signed."""
        rows = self._db.execute(
            "SELECT state, count(*) AS count FROM waivers WHERE booking_id = ? GROUP BY state", (booking_id,)
        )
        counts = {row["state"]: row["count"] for row in rows}
        return counts.get("open", 0), counts.get("signed", 0)

    def add_manifest(self, booking_id: str, start: datetime, *, complete: bool) -> tuple[int, int | None]:
        """Write a manifest in the place of the last; gives its number and the last one's."""
        last = self._db.execute(
            "SELECT n FROM manifests WHERE booking_id = ? AND state = 'live'", (booking_id,)
        ).fetchone()
        self._db.execute(
            "UPDATE manifests SET state = 'replaced' WHERE booking_id = ? AND state = 'live'", (booking_id,)
        )
        new = self._db.execute(
            "INSERT INTO manifests (booking_id, start, complete) VALUES (?, ?, ?)",
            (booking_id, minute(start), complete),
        )
        return new.lastrowid or 0, last["n"] if last else None

    def restore_manifest(self, n: int, last: int | None) -> None:
        """Put the last manifest in the place of `n` again."""
        self._db.execute("UPDATE manifests SET state = 'withdrawn' WHERE n = ?", (n,))
        self._db.execute("UPDATE manifests SET state = 'live' WHERE n = ?", (last,))

    def manifest_complete(self, booking_id: str) -> bool:
        """Whether the manifest that counts is complete."""
        row = self._db.execute(
            "SELECT complete FROM manifests WHERE booking_id = ? AND state = 'live'", (booking_id,)
        ).fetchone()
        return row is not None and bool(row["complete"])

    def checklist(self, booking_id: str) -> list[str] | None:
        """The preparation list, if there is one."""
        row = self._db.execute("SELECT lines FROM checklists WHERE booking_id = ?", (booking_id,)).fetchone()
        return json.loads(row["lines"]) if row else None

    def put_checklist(self, booking_id: str, lines: Sequence[str] | None) -> None:
        """Write the preparation list; None takes it away."""
        self._db.execute("DELETE FROM checklists WHERE booking_id = ?", (booking_id,))
        if lines is not None:
            self._db.execute("INSERT INTO checklists VALUES (?, ?)", (booking_id, json.dumps(list(lines))))
