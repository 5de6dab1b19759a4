"""One question to one role's model: every attempt a journaled step, failures classed, waits durable."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, Said, ToolUse
from trimtab.core.outcome import Failed
from trimtab.core.ports import Worked
from trimtab.core.records import Fact, ModelCallFact
from trimtab.core.values import Json
from trimtab.run.scope import Scope


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the run may leave memory until `at`."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A usable answer. `reads` holds what read tools gave that ran in the same step, by the place of the tool use."""

    text: str
    calls: tuple[ToolUse, ...]
    reads: Mapping[str, Json]
    messages: tuple[Any, ...]


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

    async def ask(self, call: ModelCall) -> Heard | Failed | Later:
        """Ask until there is a usable answer or no hope of one. A malformed answer is shown to the model once."""
        limits = self.scope.means.limits
        attempt = malformed = 0
        while True:
            attempt += 1
            step = f"{self.name}/{attempt}"
            tried: Any = await self.scope.steps.step(step, lambda s=step, a=attempt, c=call: self._try(s, a, c))
            if "fault" not in tried:
                calls = tuple(ToolUse(*c) for c in tried["calls"])
                return Heard(tried["text"], calls, tried["reads"], call.messages)
            kind, error_class, message = tried["fault"]
            if kind == "malformed":
                malformed += 1
                if malformed >= limits.malformed:
                    return Failed(f"{self.role}'s model gave no usable answer: {message}", "malformed")
                shown = f"Your last answer could not be used: {message}. Answer again, completely."
                call = replace(call, messages=(*call.messages, Said(shown)))
            elif tried["retry_at"] is None:
                return Failed(f"{self.role}'s model: {message}", error_class)
            else:
                at = datetime.fromisoformat(tried["retry_at"])
                if at - self.scope.means.clock.now() > limits.hold_in_memory:
                    return Later(at, f"{self.role}'s model: {message}")
                await self.scope.steps.sleep_until(at)

    async def _try(self, step: str, attempt: int, call: ModelCall) -> Worked:
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
        again = answer.kind == "transient" and means.limits.again(answer.error_class, attempt)
        retry_at = means.clock.now() + means.limits.delay(attempt, answer.retry_after) if again else None
        fault = [answer.kind, answer.error_class, answer.message]
        return Worked({"fault": fault, "retry_at": retry_at.isoformat() if retry_at else None}, [fact])

    def _fact(  # noqa: PLR0917 - one fact, one place where it is made
        self, step: str, attempt: int, model: str, answer: ModelAnswer | ModelFault, latency_ms: float, at: datetime
    ) -> ModelCallFact:
        usage = answer.usage
        fault = answer if isinstance(answer, ModelFault) else None
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
            cost=self.scope.means.prices.cost(model, usage, self.scope.pin.price_date),
            simulated=answer.simulated,
            at=at,
        )


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
