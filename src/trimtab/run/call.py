"""One tool call: held for approval where declared, made as a journaled step, retried where the tool says so."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from trimtab.core.messages import ToolUse
from trimtab.core.outcome import Done, Failed, Handoff, Outcome, Rejected, Retry, Status, is_outcome
from trimtab.core.ports import Worked
from trimtab.core.records import ToolCallFact
from trimtab.core.values import Json, digest
from trimtab.run.ask import Later
from trimtab.run.route import Assignment
from trimtab.run.scope import Scope
from trimtab.run.tool import Step, Tool

APPROVAL = "approval/"


@dataclass(frozen=True, slots=True)
class Held:
    """The call was not made: `event` must decide first."""

    event: str


CallOutcome: TypeAlias = "Done[Json] | Handoff[Json] | Rejected | Failed | Held | Later"


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose arguments were checked. `name` names its steps, without the attempt."""

    scope: Scope
    job: Assignment
    tool: Tool
    use: ToolUse
    name: str

    @property
    def key(self) -> str:
        """The same on every attempt of this call, another for other arguments and in another run."""
        return digest([self.scope.run_id, self.job.subtask.id, self.tool.name, self.use.arguments])

    async def make(self) -> CallOutcome:
        """Make the call when it may be made, and again while it asks for it."""
        steps, means = self.scope.steps, self.scope.means
        refused = await self._decision()
        if refused is not None:
            return refused
        attempt = 0
        while True:
            attempt += 1
            saved: Any = await steps.step(
                f"{self.name}/{attempt}", lambda a=attempt: self.attempt(a), effect=self.tool.writes
            )
            outcome = read_outcome(saved)
            if not isinstance(outcome, Retry):
                return outcome
            if saved["retry_at"] is None:
                return Failed(f"{self.tool.name}: {outcome.reason} (tried {attempt} times)", outcome.error_class)
            at = datetime.fromisoformat(saved["retry_at"])
            if at - means.clock.now() > means.limits.hold_in_memory:
                return Later(at, outcome.reason)
            await steps.sleep_until(at)

    async def _decision(self) -> Held | Rejected | None:
        if self.tool.approval is None:
            return None
        held = await self.scope.steps.step(f"{self.name}/approval", self._needs_approval)
        if not held:
            return None
        decision: Any = self.scope.steps.event(APPROVAL + self.key)
        if decision is None:
            return Held(APPROVAL + self.key)
        return None if decision["approved"] is True else Rejected(f"denied by {decision['by']}")

    async def _needs_approval(self) -> Worked:
        assert self.tool.approval is not None
        try:
            answer = self.tool.approval(self.job.specialist, self._step(0), self.tool.read(self.use.arguments))
            held = bool(await answer if inspect.isawaitable(answer) else answer)
            reason = f"{self.job.subtask.call} waits for a person's decision"
        except Exception as error:  # noqa: BLE001 - a predicate that cannot say leaves the decision to a person
            held, reason = True, f"approval predicate raised {type(error).__name__}: {error}"
        return Worked(held, [self._fact(f"{self.name}/approval", 0, "held", "", reason, 0.0)] if held else [])

    async def attempt(self, number: int, step: str | None = None) -> Worked:
        """Make the call once, as attempt `number`; gives the outcome to journal and its fact."""
        means, began = self.scope.means, time.perf_counter()
        outcome = await self._outcome(number)
        latency = (time.perf_counter() - began) * 1000
        kind, error_class, reason = type(outcome).__name__.lower(), "", ""
        saved: dict[str, Json] = {"outcome": kind, "retry_at": None}
        match outcome:
            case Done(value):
                saved |= {"value": self.tool.dump(value)}
            case Handoff(status, value, reason, stops):
                saved |= {"value": self.tool.dump(value), "status": status, "stops": stops}
            case Rejected(reason):
                pass
            case Failed(reason, error_class):
                saved |= {"error_class": error_class}
            case Retry(reason, after, error_class):
                again = means.limits.again(error_class, number)
                at = means.clock.now() + means.limits.delay(number, after) if again else None
                saved |= {"error_class": error_class, "retry_at": at.isoformat() if at else None}
        saved["reason"] = reason
        fact = self._fact(step or f"{self.name}/{number}", number, kind, error_class, reason, latency)
        return Worked(saved, [fact])

    async def _outcome(self, number: int) -> Outcome[object]:
        try:
            given: object = await self.tool.function(
                self.job.specialist, self._step(number), **self.tool.read(self.use.arguments)
            )
            outcome: Outcome[object] = given if is_outcome(given) else Done(given)
            if isinstance(outcome, Done | Handoff):
                self.tool.dump(outcome.value)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this run: something that the tool waited for was cancelled.
            return Failed(f"{self.tool.name} waited for something that was cancelled", "CancelledError")
        except (OSError, TimeoutError) as error:
            return Retry(f"{type(error).__name__}: {error}", error_class="connection")
        except Exception as error:  # noqa: BLE001 - a tool is the user's code: its faults fail its subtask, not the worker
            return Failed(f"{self.tool.name} raised {type(error).__name__}: {error}", type(error).__name__)
        return outcome

    def _step(self, attempt: int) -> Step:
        scope = self.scope
        return Step(scope.run_id, self.job.subtask.id, self.key, attempt, scope.means.clock.now(), scope.request)

    def _fact(  # noqa: PLR0917 - one fact, one place where it is made
        self, step: str, attempt: int, outcome: str, error_class: str, reason: str, latency_ms: float
    ) -> ToolCallFact:
        return ToolCallFact(
            run_id=self.scope.run_id,
            step=step,
            role=self.job.specialist.role,
            subtask=self.job.subtask.id,
            tool=self.tool.name,
            effect=self.tool.effect,
            idempotency_key=self.key,
            attempt=attempt,
            arguments=self.use.arguments,
            outcome=outcome,
            error_class=error_class,
            reason=reason,
            latency_ms=latency_ms,
            at=self.scope.means.clock.now(),
        )


def read_outcome(saved: Mapping[str, Any]) -> Outcome[Json]:
    """Read back a journaled outcome."""
    match saved["outcome"]:
        case "done":
            return Done(saved["value"])
        case "handoff":
            return Handoff(Status(saved["status"]), saved["value"], saved["reason"], saved["stops"])
        case "rejected":
            return Rejected(saved["reason"])
        case "retry":
            return Retry(saved["reason"], None, saved["error_class"])
        case _:
            return Failed(saved["reason"], saved["error_class"])
