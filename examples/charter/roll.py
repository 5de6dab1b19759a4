"""The crew roll: crew events, and every question to a person with its answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from .cascade import Ask
from .slots import Slot
from .wire import minute


class Roll:
    """The crew tables of an open transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def event(self, booking_id: str) -> int | None:
        """Find the crew event of a booking."""
        row = self._db.execute("SELECT n FROM crew_events WHERE booking_id = ?", (booking_id,)).fetchone()
        return row["n"] if row else None

    def open_event(self, booking_id: str) -> int:
        """Create the crew event; a booking has one at most."""
        return self._db.execute("INSERT INTO crew_events (booking_id) VALUES (?)", (booking_id,)).lastrowid or 0

    def ask(
        self,
        purpose: str,
        booking_id: str,
        slot: Slot,
        asks: Iterable[Ask],
        *,
        deadline: datetime,
        instead_of: str | None = None,
    ) -> list[int]:
        """Write questions down, with the answers that are known."""
        return [
            self._db.execute(
                """INSERT INTO asks (purpose, booking_id, person, position, instead_of, start, finish, deadline, state)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *(purpose, booking_id, ask.person, ask.position, instead_of, minute(slot.start), minute(slot.end)),
                    *(minute(deadline), ask.state),
                ),
            ).lastrowid
            or 0
            for ask in asks
        ]

    def asked(self, booking_id: str, purpose: str) -> list[Ask]:
        """Every question about a booking that stands."""
        rows = self._db.execute(
            "SELECT person, position, state FROM asks WHERE booking_id = ? AND purpose = ? AND state <> 'withdrawn' ORDER BY n",
            (booking_id, purpose),
        )
        return [Ask(row["person"], row["position"], row["state"]) for row in rows]

    def waiting(self, booking_id: str, instead_of: str, now: datetime) -> list[str]:
        """Who was asked to replace a person, has not answered, and still may."""
        rows = self._db.execute(
            """SELECT person FROM asks WHERE booking_id = ? AND purpose = 'replace' AND instead_of = ? AND state = 'asked'
               AND deadline > ?""",
            (booking_id, instead_of, minute(now)),
        )
        return [row["person"] for row in rows]

    def spent(self, booking_id: str, instead_of: str) -> frozenset[str]:
        """Who was asked to replace a person before, whatever came of it."""
        rows = self._db.execute(
            "SELECT person FROM asks WHERE booking_id = ? AND instead_of = ? AND state <> 'withdrawn'",
            (booking_id, instead_of),
        )
        return frozenset(row["person"] for row in rows)

    def swapping(self, booking_id: str) -> frozenset[str]:
        """Who may not be asked to replace another on a booking: who wants out of it, and who was asked and has not answered."""
        rows = self._db.execute(
            "SELECT instead_of, person, state FROM asks WHERE booking_id = ? AND purpose = 'replace' AND state <> 'withdrawn'",
            (booking_id,),
        ).fetchall()
        return frozenset(r["instead_of"] for r in rows) | frozenset(r["person"] for r in rows if r["state"] == "asked")

    def unsettled(self, booking_id: str, slot: Slot) -> list[str]:
        """Who was asked whether these hours suit, and has not said yes: a plan's word for them is not enough."""
        rows = self._db.execute(
            """SELECT DISTINCT person FROM asks WHERE booking_id = ? AND purpose = 'reconfirm' AND start = ? AND finish = ?
               AND state IN ('asked', 'declined') ORDER BY n""",
            (booking_id, minute(slot.start), minute(slot.end)),
        )
        return [row["person"] for row in rows]

    def agreed(self, booking_id: str, slot: Slot) -> frozenset[str]:
        """Who was asked whether these hours suit, and said yes."""
        rows = self._db.execute(
            """SELECT person FROM asks WHERE booking_id = ? AND purpose = 'reconfirm' AND start = ? AND finish = ?
               AND state = 'accepted'""",
            (booking_id, minute(slot.start), minute(slot.end)),
        )
        return frozenset(row["person"] for row in rows)

    def withdraw(self, numbers: Iterable[int]) -> None:
        """Take questions back."""
        self._db.executemany("UPDATE asks SET state = 'withdrawn' WHERE n = ?", [(n,) for n in numbers])
