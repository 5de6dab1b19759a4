"""A model call under caps: what it may cost is reserved durably before it, and what it did cost stands in its place after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from trimtab.core.messages import Answered, Message, ModelCall, Said, ToolReturned
from trimtab.core.ports import StepWork, Worked
from trimtab.core.records import BudgetFact, ModelCallFact
from trimtab.core.usage import Usage
from trimtab.core.values import Json, dumps
from trimtab.policy.caps import Amount, raised_amounts
from trimtab.run.budget import Refused, Reservation, Sum, Want
from trimtab.run.scope import RESUME, Scope

# No tokenizer makes more tokens of a text than it has bytes in UTF-8, as each token stands for one byte or more. What a
# provider adds of its own (marks between messages, 300 to 700 tokens of instructions for the use of tools) is in this.
OVERHEAD_TOKENS = 2_000

# Faults that come before a model has said anything are not billed. Of all others nobody knows.
_NOT_BILLED = frozenset(
    {
        "bad_request", "unauthenticated", "forbidden", "not_found", "conflict", "too_large", "rejected", "context_window",
        "quota", "rate_limited", "overloaded", "server_error", "unreachable", "no_key", "no_tools", "not_installed",
        "unknown_provider", "redirected",
    }
)  # fmt: skip


async def spend(  # noqa: PLR0917 - one call, one place where it is made
    scope: Scope, role: str, step: str, call: ModelCall, attempt: StepWork, interrupted: Callable[[], Worked]
) -> Json | Refused:
    """Make one attempt at a model call, within the caps of the run's environment; without any it is a plain step.

    `interrupted` says what an attempt came to that was under way when its process ended: it may have been billed, so what was
    reserved for it is lost, and it is not simply made again. Nothing of a refused call is written.
    """
    steps, budgets = scope.steps, scope.means.budgets
    if any(b.name == step and b.result is None for b in steps.begun()):
        return await steps.once(step, Worked(None), lambda _: _written_off(scope, step, interrupted), shielded=False)
    if not budgets.capped(scope.pin.environment) or steps.known(step) is not None:
        return await steps.step(step, attempt)
    held = await budgets.hold(
        worst_case(scope, role, step, call), lambda: scope.means.clock.now().date(), raised(scope)
    )
    return held if isinstance(held, Refused) else await _Spending(scope, held, attempt).make()


def worst_case(scope: Scope, role: str, step: str, call: ModelCall) -> Want:
    """Say what a call may use at most.

    A prompt has at most one token a byte of all that is sent, and an answer is cut off at `max_tokens`. Prompts are not
    written to caches, so plain input is the dearest there is; tiers by the length of the prompt are those of the longest.
    """
    tools = [[t.name, t.description, t.schema] for t in call.tools]
    sent = dumps([call.system, [_said(m) for m in call.messages], tools])
    most = Usage(input=len(sent.encode()) + OVERHEAD_TOKENS, output=call.max_tokens)
    usd = scope.means.prices.cost(call.model, most, scope.pin.price_date)
    return Want(scope.run_id, step, scope.pin.environment, role, usd, most.total)


def raised(scope: Scope) -> Mapping[str, Amount]:
    """Give the caps that people raised for this run; the newest word on each counts."""
    amounts: dict[str, Amount] = {}
    for number in range(scope.resumed):
        event: Any = scope.steps.event(f"{RESUME}{number}") or {}
        amounts |= raised_amounts(event.get("raised", {}))
    return amounts


def write_off(scope: Scope) -> None:
    """Of a run that goes no further, count as lost what was reserved for calls that nobody will hear of again."""
    for begun in scope.steps.begun():
        if begun.result is None and isinstance(begun.begin, Mapping) and "budget" in begun.begin:
            held = _reservation(scope, begun.name, begun.begin["budget"])
            scope.means.budgets.lose(held)
            scope.steps.record(_fact(scope, held, "lost", held.want.amounts))


@dataclass(slots=True)
class _Spending:
    """One attempt, from its reservation on."""

    scope: Scope
    held: Reservation
    attempt: StepWork
    used: Sum | None = None
    done: bool = False

    async def make(self) -> Json:
        budgets = self.scope.means.budgets
        begin = Worked({"budget": _json(self.held)}, [_fact(self.scope, self.held, "reserved", self.held.want.amounts)])
        try:
            result = await self.scope.steps.once(self.held.want.step, begin, self._work, shielded=False)
        except BaseException as error:
            # Work that is done is on its way into the file, even if nobody waits for it any more.
            if not (self.done and isinstance(error, asyncio.CancelledError)):
                self.used = None
                self.scope.steps.record(_fact(self.scope, self.held, "lost", self.held.want.amounts))
            raise
        finally:
            budgets.settle(self.held, self.used or self.held.want.amounts)
        return result

    async def _work(self, found: bool) -> Worked:  # noqa: FBT001 - `core.ports.OnceWork`
        del found
        worked = await self.attempt()
        self.used = _used(self.held, worked)
        state, amounts = ("lost", self.held.want.amounts) if self.used is None else ("settled", self.used)
        self.done = True
        return Worked(worked.result, [*worked.facts, _fact(self.scope, self.held, state, amounts)])


async def _written_off(scope: Scope, step: str, interrupted: Callable[[], Worked]) -> Worked:
    begin: Any = next(b.begin for b in scope.steps.begun() if b.name == step)
    held = _reservation(scope, step, begin["budget"])
    scope.means.budgets.lose(held)
    worked = interrupted()
    return Worked(worked.result, [*worked.facts, _fact(scope, held, "lost", held.want.amounts)])


def _used(held: Reservation, worked: Worked) -> Sum | None:
    """Say what a call used; None where nobody knows."""
    fact = next(f for f in worked.facts if isinstance(f, ModelCallFact))
    cached = fact.cache_read_tokens + fact.cache_write_5m_tokens + fact.cache_write_1h_tokens
    tokens = fact.input_tokens + fact.output_tokens + cached
    if tokens == 0 and fact.error_class not in _NOT_BILLED:
        return None
    cost = Decimal(0) if tokens == 0 else fact.cost
    if cost is None:
        # Where a kind of token has no price, what was set aside is the nearest that is known.
        cost = held.want.usd
    return Sum(cost or Decimal(0), tokens, held.want.turns, 0 if cost is not None else 1)


def _fact(scope: Scope, held: Reservation, state: str, amounts: Sum) -> BudgetFact:
    want = held.want
    return BudgetFact(
        run_id=scope.run_id,
        step=want.step,
        state=state,
        environment=want.environment,
        role=want.role,
        day=held.day,
        usd=None if amounts.unpriced else amounts.usd,
        tokens=amounts.tokens,
        turns=amounts.turns,
        at=scope.means.clock.now(),
    )


def _json(held: Reservation) -> Json:
    want = held.want
    usd = None if want.usd is None else str(want.usd)
    amounts: dict[str, Json] = {"usd": usd, "tokens": want.tokens, "turns": want.turns}
    return {"environment": want.environment, "role": want.role, "day": held.day.isoformat(), **amounts}


def _reservation(scope: Scope, step: str, saved: Any) -> Reservation:
    usd = None if saved["usd"] is None else Decimal(saved["usd"])
    want = Want(scope.run_id, step, saved["environment"], saved["role"], usd, int(saved["tokens"]), int(saved["turns"]))
    return Reservation(want, date.fromisoformat(saved["day"]))


def _said(message: Message) -> Sequence[Json]:
    match message:
        case Said(text):
            return [text]
        case Answered(text, calls):
            return [text, [[c.id, c.name, c.arguments] for c in calls]]
        case ToolReturned(id_, name, content, is_error):
            return [id_, name, content, is_error]
