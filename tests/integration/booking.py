"""A small application for tests of the run loop and the engine: quote, charge, notify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from typing_extensions import TypedDict

from trimtab import Failed, Handoff, Plan, Rejected, Retry, Specialist, Status, Step, Workflow, over, tool


@dataclass(frozen=True, slots=True)
class Order:
    text: str
    sender: str = "guest"


class Quote(TypedDict):
    total: float
    secret: str


@dataclass(frozen=True, slots=True)
class Charge:
    id: str
    amount: Decimal


@dataclass
class World:
    charges: dict[str, Charge] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    posted: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    trouble: list[Retry | Rejected | Failed] = field(default_factory=list)
    no_refund: list[Exception] = field(default_factory=list)


class Pricing(Specialist, role="pricing"):
    """You know prices."""

    def __init__(self, world: World) -> None:
        self.world = world

    @tool("read")
    async def quote(self, step: Step, hours: int) -> Quote:
        """Quote a price."""
        self.world.calls.append(f"quote {step.subtask}")
        return {"total": 100.0 * hours, "secret": "gross"}


class Payment(Specialist[Charge], role="payment", risk="high", sees=("total",)):
    """You take payments. Charge the price, never more."""

    def __init__(self, world: World) -> None:
        self.world = world

    @tool("reversible", over(Decimal(500)))
    async def charge(self, step: Step, customer: str, amount: Decimal) -> Charge | Rejected | Retry | Failed:
        """Charge the customer's card."""
        self.world.calls.append(f"charge {step.subtask} {step.attempt}")
        if self.world.trouble:
            return self.world.trouble.pop(0)
        return self.world.charges.setdefault(step.idempotency_key, Charge(f"ch_{customer}", amount))

    @charge.compensate
    async def refund(self, step: Step, charge: Charge) -> None:
        """Give the money back."""
        self.world.calls.append(f"refund {step.subtask} {charge.amount}")
        if self.world.no_refund:
            raise self.world.no_refund.pop(0)
        assert step.compensates is not None
        self.world.charges.pop(step.compensates, None)

    @charge.lookup
    async def find(self, step: Step) -> Charge | None:
        """Ask whether the card was charged."""
        self.world.calls.append(f"find {step.subtask}")
        return self.world.charges.get(step.idempotency_key)


class Notification(Specialist, role="notification"):
    """You send messages."""

    def __init__(self, world: World) -> None:
        self.world = world

    @tool("irreversible")
    async def send(self, step: Step, text: str, expects: str = "nothing") -> str | Handoff[str]:
        """Send a message to the guest."""
        self.world.calls.append(f"send {step.subtask}")
        self.world.sent.append(text)
        self.world.posted[step.idempotency_key] = text
        return Handoff(Status.CLARIFY, "sent", "asked") if expects == "answer" else "sent"

    @send.lookup
    async def posted(self, step: Step) -> str | None:
        """Ask whether the message went out."""
        return "sent" if step.idempotency_key in self.world.posted else None

    @tool("irreversible", waits=False)
    async def alert(self, step: Step, text: str) -> str:
        """Tell the operator."""
        self.world.calls.append(f"alert {step.subtask}")
        return text


class Booking(Workflow[Order, dict[str, object]], name="booking"):
    """You book charters."""

    def faults(self, request: Order, plan: Plan) -> list[str]:
        sends = [s.id for s in plan.subtasks if s.call == "notification.send"]
        return [
            f"subtask {i!r}: a message before the charge" for i in sends if not plan[i].needs and len(plan.subtasks) > 1
        ]

    def conclude(self, request: Order, results: Mapping[str, object]) -> dict[str, object]:
        return dict(results)


def booking(world: World) -> Booking:
    return Booking([Pricing(world), Payment(world), Notification(world)])
