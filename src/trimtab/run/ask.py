"""One question to one role's model: every attempt a journaled step, failures classed, waits durable."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, Said, ToolUse
from trimtab.core.outcome import Status
from trimtab.core.ports import PriceList, Worked
from trimtab.core.records import Fact, ModelCallFact, RungFact
from trimtab.core.usage import Usage
from trimtab.core.values import Json
from trimtab.run.budget import Refused
from trimtab.run.scope import Scope
from trimtab.run.spend import spend

INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the run may leave memory until `at` (None: until a person lets it go on)."""

    at: datetime | None
    reason: str
    status: Status = Status.DEFERRED


@dataclass(frozen=True, slots=True)
class Stuck:
    """The model is of no use for this: another one may be, or another plan, or a person.

    `step` is the attempt that settled it; `event` (where known) lets it be tried again from the first model on.
    """

    reason: str
    error_class: str
    step: str
    event: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A usable answer, given by the attempt `step`.

    `reads` holds what read tools gave that ran in the same step, by the place of the tool use.
    """

    text: str
    calls: tuple[ToolUse, ...]
    reads: Mapping[str, Json]
    messages: tuple[Any, ...]
    step: str


Reads: TypeAlias = Callable[[Sequence[ToolUse], str], Awaitable[tuple[dict[str, Json], list[Fact]]]]


async def no_reads(calls: Sequence[ToolUse], step: str) -> tuple[dict[str, Json], list[Fact]]:
    """Run nothing: the orchestrator has no tools."""
    del calls, step
    return {}, []


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one role. `name` names its steps, without the attempt; `reads` runs read tools in the same step."""

    scope: Scope
    name: str
    role: str
    subtask: str | None = None
    reads: Reads = no_reads

    async def ask(self, call: ModelCall) -> Heard | Stuck | Later:
        """Ask until there is a usable answer or no hope of one. A malformed answer is shown to the model once."""
        limits = self.scope.means.limits
        attempt = malformed = interrupted = 0
        while True:
            attempt += 1
            step = f"{self.name}/{attempt}"
            tried: Any = await spend(
                self.scope,
                self.role,
                step,
                call,
                lambda s=step, a=attempt, i=interrupted, m=malformed, c=call: self._try(s, a, m, c, tries=a - i),
                lambda s=step, a=attempt, c=call: self._interrupted(s, a, c),
            )
            if isinstance(tried, Refused):
                return Later(tried.until, tried.reason, Status.PAUSED_BUDGET)
            if "fault" not in tried:
                calls = tuple(ToolUse(*c) for c in tried["calls"])
                return Heard(tried["text"], calls, tried["reads"], call.messages, step)
            kind, error_class, message = tried["fault"]
            if kind == "malformed":
                malformed += 1
                if malformed >= limits.malformed:
                    return Stuck(f"{self.role}'s model gave no usable answer: {message}", "malformed", step)
                shown = f"Your last answer could not be used: {message}. Answer again, completely."
                call = replace(call, messages=(*call.messages, Said(shown)))
            elif tried["retry_at"] is None:
                return Stuck(f"{self.role}'s model: {message}", error_class, step)
            else:
                interrupted += error_class == INTERRUPTED
                if later := await self.scope.wait(tried["retry_at"]):
                    return Later(later, f"{self.role}'s model: {message}")

    async def _try(self, step: str, attempt: int, malformed: int, call: ModelCall, *, tries: int) -> Worked:
        means = self.scope.means
        async with means.calls_at_once:
            at, began = means.clock.now(), time.perf_counter()
            answer = _usable(await means.models.ask(call))
        latency = (time.perf_counter() - began) * 1000
        fact = self._fact(step, attempt, call.model, answer, latency, at)
        if isinstance(answer, ModelAnswer):
            results, facts = await self.reads(answer.calls, step)
            calls = [[c.id, c.name, c.arguments] for c in answer.calls]
            return Worked({"text": answer.text, "calls": calls, "reads": results}, [fact, *facts])
        retry_at = None
        if answer.kind == "transient":
            retry_at = means.limits.retry_at(means.clock.now(), answer.error_class, tries, answer.retry_after)
        fault = [answer.kind, answer.error_class, answer.message]
        facts: list[Fact] = [fact]
        if retry_at is not None:
            facts.append(self.rung(step, "retry", call.model, answer.error_class))
        elif answer.kind == "malformed" and malformed + 1 < means.limits.malformed:
            facts.append(self.rung(step, "repair", call.model, answer.message))
        return Worked({"fault": fault, "retry_at": retry_at}, facts)

    def _interrupted(self, step: str, attempt: int, call: ModelCall) -> Worked:
        # The worker's death says nothing about the model: it is asked again, at once, and this was none of its tries.
        fault = ModelFault("transient", INTERRUPTED, "the worker stopped during the call")
        now = self.scope.means.clock.now()
        facts = [
            self._fact(step, attempt, call.model, fault, 0.0, now),
            self.rung(step, "retry", call.model, INTERRUPTED),
        ]
        return Worked({"fault": [fault.kind, fault.error_class, fault.message], "retry_at": now.isoformat()}, facts)

    def rung(self, step: str, rung: str, model: str, reason: str) -> RungFact:
        """Say what is done about the failed attempt `step`; `model` is the one that is asked next."""
        at = self.scope.means.clock.now()
        return RungFact(self.scope.run_id, step, rung, self.role, self.subtask, model, reason, at)

    def _fact(  # noqa: PLR0917 - one fact, one place where it is made
        self, step: str, attempt: int, model: str, answer: ModelAnswer | ModelFault, latency_ms: float, at: datetime
    ) -> ModelCallFact:
        usage, means, on = answer.usage, self.scope.means, self.scope.pin.price_date
        fault = answer if isinstance(answer, ModelFault) else None
        # An answer that does not say what it used was not for nothing: what it cost is not known.
        untold = usage.total == 0 and answer.model is not None
        cost = None if untold else means.prices.cost(model, usage, on)
        return ModelCallFact(
            run_id=self.scope.run_id,
            step=step,
            role=self.role,
            subtask=self.subtask,
            attempt=attempt,
            requested_model=model,
            response_model=answer.model,
            response_id=answer.response_id,
            input_tokens=usage.input,
            output_tokens=usage.output,
            cache_read_tokens=usage.cache_read,
            cache_write_5m_tokens=usage.cache_write_5m,
            cache_write_1h_tokens=usage.cache_write_1h,
            stop_reason=answer.stop_reason,
            error_class=fault.error_class if fault else "",
            error=fault.message if fault else "",
            latency_ms=latency_ms,
            cost=cost,
            simulated=answer.simulated,
            at=at,
            host=means.host,
            price_list=None if cost is None else means.price_list,
            cache_saved=_saved(means.prices, model, usage, on, cost),
        )


def _saved(prices: PriceList, model: str, usage: Usage, on: date, cost: Decimal | None) -> Decimal | None:
    """Say what the cache saved a call: the price of the same prompt, all of it plain input, less its own."""
    if cost is None or usage.prompt == usage.input:
        return None if cost is None else Decimal(0)
    plain = prices.cost(model, Usage(input=usage.prompt, output=usage.output), on)
    return None if plain is None else plain - cost


def _usable(answer: ModelAnswer | ModelFault) -> ModelAnswer | ModelFault:
    # Every question of ours is answered with a tool, whatever a client lets through.
    if isinstance(answer, ModelFault) or answer.calls:
        return answer
    return ModelFault(
        kind="malformed",
        error_class="no_tool",
        message="it used no tool",
        usage=answer.usage,
        model=answer.model,
        response_id=answer.response_id,
        stop_reason=answer.stop_reason,
        simulated=answer.simulated,
    )
