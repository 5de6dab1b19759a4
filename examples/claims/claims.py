"""A claim desk in one file: three specialists, a payment, a letter, and a world outside that is a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from trimtab import Plan, Rejected, Specialist, Step, Workflow, over, tool

CLAIMS = {
    "K-17": ("Ada Byron", "ada@claims.example", "windscreen", Decimal("340.00")),
    "K-18": ("Grace Hopper", "grace@claims.example", "hail", Decimal("1900.00")),
}


@dataclass(frozen=True)
class ClaimRequest:
    text: str


@dataclass(frozen=True)
class Settled:
    paid: Decimal


@dataclass(frozen=True)
class Claim:
    claim_id: str
    holder: str
    email: str
    damage: str
    estimate: Decimal


@dataclass(frozen=True)
class Payment:
    payment_id: str
    amount: Decimal


class Desk:
    """The world outside: what was paid and posted. Each write has a key, and is made once however often it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("CREATE TABLE IF NOT EXISTS payments (key PRIMARY KEY, claim, amount, taken_back DEFAULT 0)")
        self.write("CREATE TABLE IF NOT EXISTS letters (key PRIMARY KEY, recipient, text)")

    def write(self, query: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(query, values)

    def read(self, query: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query, values).fetchall()


class Files(Specialist, role="files", risk="low"):
    """You look claims up by their number."""

    @tool("read")
    async def find_claim(self, step: Step, claim_id: str) -> Claim | Rejected:
        """Find a claim."""
        if claim_id not in CLAIMS:
            return Rejected(f"there is no claim {claim_id}")
        holder, email, damage, estimate = CLAIMS[claim_id]
        return Claim(claim_id, holder, email, damage, estimate)


class Payout(Specialist, role="payout", risk="high", sees=("claim_id", "estimate")):
    """You pay claims out. Pay the estimate, never more."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @tool("reversible", approval=over(Decimal(500)))
    async def pay(self, step: Step, claim_id: str, amount: Decimal) -> Payment | Rejected:
        """Pay a claim out."""
        if claim_id not in CLAIMS or not 0 < amount <= CLAIMS[claim_id][-1]:
            return Rejected("the estimate may be paid, and no more")
        paid = (step.idempotency_key, claim_id, str(amount))
        self.desk.write("INSERT OR IGNORE INTO payments (key, claim, amount) VALUES (?, ?, ?)", *paid)
        return Payment(step.idempotency_key, amount)

    @pay.compensate
    async def take_back(self, step: Step, payment: Payment) -> None:
        self.desk.write("UPDATE payments SET taken_back = 1 WHERE key = ?", payment.payment_id)

    @pay.lookup
    async def find_payment(self, step: Step) -> Payment | None:
        rows = self.desk.read("SELECT key, amount FROM payments WHERE key = ?", step.idempotency_key)
        return Payment(rows[0][0], Decimal(rows[0][1])) if rows else None


class Letters(Specialist, role="letters", sees=("claim_id", "holder", "email", "amount")):
    """You write to claimants, kindly and briefly."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @tool("irreversible")
    async def send(self, step: Step, recipient: str, text: str) -> str:
        """Post a letter."""
        self.desk.write("INSERT OR IGNORE INTO letters VALUES (?, ?, ?)", step.idempotency_key, recipient, text)
        return step.idempotency_key

    @send.lookup
    async def find_letter(self, step: Step) -> str | None:
        rows = self.desk.read("SELECT key FROM letters WHERE key = ?", step.idempotency_key)
        return rows[0][0] if rows else None


class ClaimDesk(Workflow[ClaimRequest, Settled], name="claim-desk"):
    """You settle insurance claims: find the claim, pay its estimate, and write to its holder."""

    def faults(self, request: ClaimRequest, plan: Plan) -> list[str]:
        return [
            f"subtask {s.id!r}: a claim is found before it is paid: it must need files.find_claim"
            for s in plan.subtasks
            if s.call == "payout.pay" and not any(plan[a].call == "files.find_claim" for a in plan.ancestors(s.id))
        ]

    def conclude(self, request: ClaimRequest, results: Mapping[str, Any]) -> Settled:
        paid = [Decimal(result["amount"]) for result in results.values() if "payment_id" in result]
        return Settled(sum(paid, Decimal(0)))


def workflows() -> list[ClaimDesk]:
    """Give what `[app] factory` names."""
    desk = Desk(Path("desk.db"))
    return [ClaimDesk([Files(), Payout(desk), Letters(desk)])]
