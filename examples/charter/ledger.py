"""The ledger: payments that arrived, refunds asked for, links to pay by."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from decimal import Decimal

from . import addresses
from .money import ZERO, from_store, to_store


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that arrived."""

    amount: Decimal
    method: str
    kind: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Money somebody wants sent back."""

    n: int
    booking_id: str
    amount: Decimal
    state: str


class Ledger:
    """The money tables of an open transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def record(self, booking_id: str, amount: Decimal, *, method: str, kind: str, event_id: str | None = None) -> None:
        """Book money that arrived."""
        self._db.execute(
            "INSERT INTO payments (booking_id, event_id, amount, method, kind) VALUES (?, ?, ?, ?, ?)",
            (booking_id, event_id, to_store(amount), method, kind),
        )

    def knows(self, event_id: str) -> bool:
        """Whether the processor's event was booked before."""
        return self._db.execute("SELECT 1 FROM payments WHERE event_id = ?", (event_id,)).fetchone() is not None

    def payments(self, booking_id: str) -> list[Payment]:
        """What arrived for a booking."""
        rows = self._db.execute(
            "SELECT amount, method, kind FROM payments WHERE booking_id = ? ORDER BY n", (booking_id,)
        )
        return [Payment(from_store(row["amount"]) or ZERO, row["method"], row["kind"]) for row in rows]

    def refund(self, n: int) -> RefundRequest | None:
        """Find a refund request."""
        row = self._db.execute("SELECT * FROM refunds WHERE n = ?", (n,)).fetchone()
        return (
            RefundRequest(row["n"], row["booking_id"], from_store(row["amount"]) or ZERO, row["state"]) if row else None
        )

    def ask_refund(self, booking_id: str, amount: Decimal, reason: str) -> int:
        """File a refund request."""
        cursor = self._db.execute(
            "INSERT INTO refunds (booking_id, amount, reason) VALUES (?, ?, ?)", (booking_id, to_store(amount), reason)
        )
        return cursor.lastrowid or 0

    def settle_refund(self, n: int, state: str, approval_id: str | None = None) -> None:
        """Withdraw or execute a refund request that waits."""
        self._db.execute(
            "UPDATE refunds SET state = ?, approval_id = ? WHERE n = ? AND state = 'waiting'", (state, approval_id, n)
        )

    def refunded(self, booking_id: str, *, asked: bool = False) -> Decimal:
        """What went back to the guest; with `asked`, also what was asked for and not decided."""
        states = ("executed", "waiting") if asked else ("executed", "executed")
        row = self._db.execute(
            "SELECT coalesce(sum(amount), 0) FROM refunds WHERE booking_id = ? AND state IN (?, ?)",
            (booking_id, *states),
        ).fetchone()
        return from_store(row[0]) or ZERO

    def add_link(self, kind: str, amount: Decimal, *, booking_id: str | None, entry: int | None) -> tuple[int, str]:
        """Make a link to pay by; gives its number and its secret part."""
        token = addresses.secret()
        cursor = self._db.execute(
            "INSERT INTO links (token, kind, booking_id, entry, amount) VALUES (?, ?, ?, ?, ?)",
            (token, kind, booking_id, entry, to_store(amount)),
        )
        return cursor.lastrowid or 0, token

    def expire_link(self, n: int) -> None:
        """Make a link worthless."""
        self._db.execute("UPDATE links SET state = 'expired' WHERE n = ?", (n,))

    def expire_links(self, entry: int) -> None:
        """Make the links of a hold that ends worthless."""
        self._db.execute("UPDATE links SET state = 'expired' WHERE entry = ?", (entry,))
