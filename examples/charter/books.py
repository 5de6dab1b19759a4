"""The company's books: what one transaction may read and write of bookings, calendar and waiting list."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from .contract import contract
from .ledger import Ledger
from .outbox import Outbox
from .papers import Papers
from .record import Booking, from_row, to_row
from .roll import Roll
from .slots import Claim, Slot, Taken, collisions
from .wire import local, minute
from .world import Block, World

READS = frozenset(name for name, declared in contract().actions.items() if declared["effect"] == "read")
_CLAIM = "SELECT n, state, vessel, start, finish, booking_id, expires FROM entries WHERE state <> 'released'"


class Books:
    """An open transaction on one company's store.

    `run_id`, `subtask` and `key` are of the call it serves; `undo` is what that call notes for its own compensation.
    """

    def __init__(
        self, db: sqlite3.Connection, world: World, run_id: str = "", subtask: str = "", key: str = ""
    ) -> None:
        self._db = db
        self.world = world
        self.run_id = run_id
        self.subtask = subtask
        self.key = key
        self.undo: dict[str, Any] | None = None
        self.ledger = Ledger(db)
        self.roll = Roll(db)
        self.papers = Papers(db)
        self.outbox = Outbox(db, run_id, subtask, key)

    @property
    def now(self) -> datetime:
        """The company's time."""
        return local(self._db.execute("SELECT value FROM meta WHERE key = 'now'").fetchone()[0])

    @property
    def company(self) -> str:
        """The company's name."""
        return self._db.execute("SELECT value FROM meta WHERE key = 'company'").fetchone()[0]

    # Bookings

    def booking(self, booking_id: str | None) -> Booking | None:
        """Find a booking by id."""
        row = self._db.execute("SELECT * FROM bookings WHERE id = ?", (booking_id,)).fetchone()
        return from_row(row) if row else None

    def bookings(self) -> list[Booking]:
        """Every booking, by start. Entries of a creation that was taken back are left out."""
        rows = self._db.execute("SELECT * FROM bookings WHERE cancelled_by IS NOT 'undo' ORDER BY start, id")
        return [from_row(row) for row in rows]

    def made_by(self, run_id: str, booking_id: str) -> bool:
        """Whether this run entered this booking, and did not merely find it."""
        rows = self._db.execute(
            "SELECT undo FROM effects WHERE run_id = ? AND action = 'booking.create' AND undo IS NOT NULL AND NOT undone",
            (run_id,),
        )
        return any(json.loads(row["undo"])["booking"] == booking_id for row in rows)

    def did(self, run_id: str, actions: Iterable[str], booking_id: str | None = None) -> bool:
        """Whether this run made one of these calls (about this booking); a write counts once it was made, a read once it was asked."""
        rows = self._db.execute(
            """SELECT c.action, c.arguments FROM calls AS c LEFT JOIN effects AS e ON e.key = c.key
               WHERE c.run_id = ? AND (e.key IS NOT NULL OR c.action IN (SELECT value FROM json_each(?)))""",
            (run_id, json.dumps(sorted(READS))),
        )
        wanted = frozenset(actions)
        named = [json.loads(row["arguments"]).get("booking_id") for row in rows if row["action"] in wanted]
        return any(booking_id is None or name == booking_id for name in named)

    def given_up(self, booking_id: str) -> frozenset[datetime]:
        """When the slots start that this run gave up for a booking, whether they are free yet or not."""
        rows = self._db.execute(
            """SELECT c.arguments FROM calls AS c JOIN effects AS e ON e.key = c.key
               WHERE c.run_id = ? AND c.action = 'calendar.release_slot'""",
            (self.run_id,),
        )
        given = [json.loads(row["arguments"]) for row in rows]
        return frozenset(local(g["start"]) for g in given if g.get("booking_id") == booking_id and g.get("start"))

    def next_id(self) -> str:
        """Give the next free booking id."""
        last = self._db.execute("SELECT max(CAST(substr(id, 3) AS INTEGER)) FROM bookings").fetchone()[0]
        return f"B-{(last or 1000) + 1:04d}"

    def save(self, booking: Booking) -> Booking:
        """Write a booking, new or changed."""
        self._db.execute(
            """INSERT INTO bookings VALUES (:id, :vessel, :start, :finish, :source, :ref, :kind, :party, :status, :total, :gross,
               :paid, :claimed_paid, :paid_via, :balance_due, :hold_expires, :captain, :crew, :contact, :adults, :minors,
               :cancelled_by, :extra)
               ON CONFLICT (id) DO UPDATE SET vessel = :vessel, start = :start, finish = :finish, party = :party, kind = :kind,
               status = :status, total = :total, gross = :gross, paid = :paid, claimed_paid = :claimed_paid,
               paid_via = :paid_via, balance_due = :balance_due, hold_expires = :hold_expires, captain = :captain,
               crew = :crew, contact = :contact, adults = :adults, minors = :minors, cancelled_by = :cancelled_by""",
            to_row(booking),
        )
        return booking

    def busy(self, day: date, but: str) -> frozenset[str]:
        """Who sails on a day, on another booking than `but`."""
        trips = [b for b in self.bookings() if b.live and b.id != but and b.start.date() <= day <= b.end.date()]
        return frozenset(person for trip in trips for person in trip.people)

    def add_note(self, booking_id: str, text: str) -> int:
        """Add a note."""
        return _new(self._db.execute("INSERT INTO notes (booking_id, text) VALUES (?, ?)", (booking_id, text)))

    def strike_note(self, n: int) -> None:
        """Take a note back."""
        self._db.execute("UPDATE notes SET state = 'struck' WHERE n = ?", (n,))

    def notes(self, booking_id: str) -> str | None:
        """All notes of a booking, oldest first."""
        rows = self._db.execute(
            "SELECT text FROM notes WHERE booking_id = ? AND state = 'live' ORDER BY n", (booking_id,)
        )
        return "; ".join(row[0] for row in rows) or None

    # Calendar

    def claims(self, but: str | None = None) -> list[Claim]:
        """Every slot that is taken now, those of booking `but` left out; expired holds do not count."""
        now = self.now
        found = [_claim(row) for row in self._db.execute(f"{_CLAIM} ORDER BY start, n")]
        return [claim for claim in found if claim.live(now) and (but is None or claim.booking_id != but)]

    def entries(self, booking_id: str) -> list[Claim]:
        """The calendar entries of a booking, expired holds included."""
        return [_claim(row) for row in self._db.execute(f"{_CLAIM} AND booking_id = ? ORDER BY n", (booking_id,))]

    def entry(self, n: int) -> Claim | None:
        """Find a calendar entry that was not released."""
        row = self._db.execute(f"{_CLAIM} AND n = ?", (n,)).fetchone()
        return _claim(row) if row else None

    def placed(self, n: int) -> bool:
        """Whether there ever was such a calendar entry."""
        return self._db.execute("SELECT 1 FROM entries WHERE n = ?", (n,)).fetchone() is not None

    def entry_of(self, n: int) -> tuple[str, str]:
        """Give the run and the sender that placed an entry."""
        row = self._db.execute("SELECT run_id, sender FROM entries WHERE n = ?", (n,)).fetchone()
        return row["run_id"], row["sender"]

    def held_by(self, sender: str, slot: Slot, party: int) -> bool:
        """Whether this sender holds exactly this slot for such a party already."""
        row = self._db.execute(
            """SELECT 1 FROM entries WHERE state = 'hold' AND sender = ? AND sender <> '' AND vessel = ? AND start = ?
               AND party = ? AND (expires IS NULL OR expires > ?)""",
            (sender, slot.vessel, minute(slot.start), party, minute(self.now)),
        ).fetchone()
        return row is not None

    def in_the_way(self, slot: Slot, but: str | None = None, claims: Iterable[Claim] | None = None) -> list[Taken]:
        """Name what collides with a slot; a booking's own entries do not."""
        return collisions(slot, self.claims(but) if claims is None else claims, self.blocks(), self.world.turnaround)

    def take(
        self,
        slot: Slot,
        *,
        firm: bool,
        booking_id: str | None = None,
        expires: datetime | None = None,
        party: int | None = None,
        sender: str = "",
    ) -> int:
        """Enter a slot in the calendar; the caller has seen that it is free."""
        return _new(
            self._db.execute(
                """INSERT INTO entries (state, vessel, start, finish, booking_id, expires, party, run_id, sender)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *("firm" if firm else "hold", slot.vessel, minute(slot.start), minute(slot.end), booking_id),
                    *(minute(expires) if expires else None, party, self.run_id, sender),
                ),
            )
        )

    def mark(self, n: int, *, state: str, booking_id: str | None, expires: datetime | None) -> None:
        """Change what an entry is: hold, firm or released; whose; until when."""
        self._db.execute(
            "UPDATE entries SET state = ?, booking_id = ?, expires = ? WHERE n = ?",
            (state, booking_id, minute(expires) if expires else None, n),
        )

    def adopt(self, n: int, booking_id: str | None, expires: datetime | None) -> None:
        """Give an entry to a booking, or to none; a hold gets a new end, what is firm has none."""
        self._db.execute(
            "UPDATE entries SET booking_id = ?, expires = CASE state WHEN 'firm' THEN NULL ELSE ? END WHERE n = ?",
            (booking_id, minute(expires) if expires else None, n),
        )

    def release(self, claim: Claim) -> None:
        """Free an entry; its row stays, for whoever asks later."""
        self.mark(claim.entry, state="released", booking_id=claim.booking_id, expires=claim.expires)

    def blocks(self, *, seeded: bool | None = None) -> list[Block]:
        """Every block; `seeded` picks those the company started with, or those that came later."""
        rows = self._db.execute("SELECT * FROM blocks WHERE state = 'live' ORDER BY n")
        return [_block(row) for row in rows if seeded is None or bool(row["seeded"]) == seeded]

    def add_block(self, block: Block, *, seeded: bool = False) -> int:
        """Close a vessel."""
        row = (
            *(block.vessel, block.why, block.first.isoformat() if block.first else None),
            *(block.last.isoformat() if block.last else None, block.weekday),
            *(block.opens.isoformat("minutes"), block.closes.isoformat("minutes"), seeded),
        )
        return _new(
            self._db.execute(
                "INSERT INTO blocks (vessel, why, first, last, weekday, opens, closes, seeded) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        )

    def lift_block(self, n: int) -> None:
        """Open a vessel again."""
        self._db.execute("UPDATE blocks SET state = 'lifted' WHERE n = ?", (n,))

    def queue(self, slot: Slot, party: int, behind: str | None, sender: str) -> int:
        """Put a wish on the waiting list."""
        return _new(
            self._db.execute(
                "INSERT INTO waitlist (vessel, start, finish, party, behind, sender) VALUES (?, ?, ?, ?, ?, ?)",
                (slot.vessel, minute(slot.start), minute(slot.end), party, behind, sender),
            )
        )

    def leave_queue(self, n: int) -> None:
        """Take a wish off the waiting list."""
        self._db.execute("UPDATE waitlist SET state = 'left' WHERE n = ?", (n,))

    # What a person is shown

    def add_item(self, **item: Any) -> int:
        """Put a decision or a fact before the operator."""
        row = {
            **item,
            "run_id": self.run_id,
            "options": json.dumps(item["options"]),
            "figures": json.dumps(item["figures"]),
        }
        return _new(
            self._db.execute(
                """INSERT INTO items (run_id, kind, what, follows, booking_id, amount, options, figures, show, deadline)
                   VALUES (:run_id, :kind, :what, :follows, :booking_id, :amount, :options, :figures, :show, :deadline)""",
                row,
            )
        )

    def item(self, n: int) -> dict[str, Any] | None:
        """Find an item that was not withdrawn."""
        row = self._db.execute("SELECT * FROM items WHERE n = ? AND state = 'open'", (n,)).fetchone()
        return dict(row) if row else None

    def withdraw_item(self, n: int) -> None:
        """Take an item back."""
        self._db.execute("UPDATE items SET state = 'withdrawn' WHERE n = ?", (n,))


def _new(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _claim(row: sqlite3.Row) -> Claim:
    slot = Slot(row["vessel"], local(row["start"]), local(row["finish"]))
    expires = local(row["expires"]) if row["expires"] else None
    return Claim(slot, row["n"], row["state"] == "firm", row["booking_id"], expires)


def _block(row: sqlite3.Row) -> Block:
    first, last = (date.fromisoformat(row[name]) if row[name] else None for name in ("first", "last"))
    opens, closes = (time.fromisoformat(row[name]) for name in ("opens", "closes"))
    return Block(row["vessel"], row["why"], first, last, row["weekday"], opens, closes)
