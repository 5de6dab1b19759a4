"""A user's application, as it is typed: pyright reads this strictly, and `test_public_names` imports it."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, assert_type

from trimtab import (
    App,
    Done,
    Failed,
    Handoff,
    Plan,
    Rejected,
    Retry,
    Run,
    Specialist,
    Status,
    Step,
    Workflow,
    always,
    over,
    tool,
)
from trimtab.core.ports import Ended, Standing
from trimtab.testing import ScriptedModel, StillClock, app_for_tests, says, uses


@dataclass(frozen=True, slots=True)
class BookingRequest:
    text: str


@dataclass(frozen=True, slots=True)
class Charge:
    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Confirmation:
    charges: list[str]


class Gateway:
    async def charge(self, customer: str, amount: Decimal, *, key: str) -> Charge | Rejected:
        return Charge(f"{customer} {key}", amount) if amount > 0 else Rejected("nothing to pay")


class Payment(Specialist[Charge], role="payment", risk="high", sees=("booking", "price", "payments")):
    """You take payments. Charge the price of the hold, never more."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    @tool(effect="reversible", approval=over(Decimal(500)))
    async def charge(self, step: Step, customer: str, amount: Decimal) -> Charge | Rejected:
        """Charge the customer's card."""
        return await self.gateway.charge(customer, amount, key=step.idempotency_key)

    @charge.compensate
    async def refund(self, step: Step, charge: Charge) -> None:
        """Give the money back."""
        assert_type(charge.amount, Decimal)

    @tool("read")
    async def look(self, step: Step, customer: str, most: int = 10) -> list[str]:
        """List a customer's payments."""
        assert_type(step.request_as(BookingRequest), BookingRequest)
        return [customer][:most]


class Letters(Specialist, role="letters"):
    """You write letters."""

    @tool("irreversible", always, waits=False, name="send-letter")
    async def send(self, step: Step, text: str) -> Handoff[str] | Retry | Failed | Done[str]:
        """Send a letter."""
        return Handoff(Status.CLARIFY, text, "asked") if step.attempt == 1 else Retry("busy")


class CharterBooking(Workflow[BookingRequest, Confirmation], name="charter-booking"):
    """You book sailing charters. Break the request into subtasks for the specialists."""

    def faults(self, request: BookingRequest, plan: Plan) -> list[str]:
        return [
            f"subtask {s.id!r}: no payment" for s in plan.subtasks if s.call == "payment.charge" and not request.text
        ]

    def conclude(self, request: BookingRequest, results: Mapping[str, object]) -> Confirmation:
        return Confirmation(sorted(results))


async def a_tool_is_a_method_that_a_test_can_call(payment: Payment, step: Step) -> None:
    given = await payment.charge(step, "ada", amount=Decimal(1))
    if isinstance(given, Charge):
        assert_type(given.amount, Decimal)
    await payment.charge(step, "ada")  # pyright: ignore[reportCallIssue] - the amount is missing
    await payment.charge(step, "ada", "1")  # pyright: ignore[reportArgumentType] - an amount is no text


async def a_run_knows_its_result() -> None:
    app = App(CharterBooking(specialists=[Payment(Gateway()), Letters()]), policy="trimtab.toml")
    async with app:
        run = await app.start(CharterBooking, BookingRequest("a boat"), key="order-1")
        assert_type(run, Run[Confirmation])
        assert_type(await run.result(), Confirmation)
        assert_type(await run.settled(), Standing)
        assert_type(await run.ended(), Ended)
        assert_type(await run.cancel("olga"), bool)
        assert_type(await run.decide(approved=True, by="olga"), int)
        await app.start(CharterBooking, "a boat")  # pyright: ignore[reportArgumentType] - a request is no text
        by_name = await app.start_json("charter-booking", {"text": "a boat"})
        assert_type(by_name, Run[Any])


async def an_application_is_tested_without_a_network() -> None:
    models, clock = ScriptedModel([uses("plan", subtasks=[]), says("no")]), StillClock()
    async with app_for_tests(CharterBooking([Payment(Gateway())]), models=models, clock=clock) as app:
        assert_type(app, App)
        run = await app.start(CharterBooking, BookingRequest("a boat"))
        clock.advance(days=20)
        assert_type(await run.result(), Confirmation)
