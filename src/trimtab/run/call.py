"""One tool call: scanned, held for approval, put off where declared; then made, and what it changes kept in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from trimtab.core.messages import ToolUse
from trimtab.core.outcome import Done, Failed, Handoff, Outcome, Rejected, Retry, Status, is_outcome
from trimtab.core.ports import Worked
from trimtab.core.records import EffectFact, Fact, ToolCallFact
from trimtab.core.values import Json, digest
from trimtab.run.ask import Later
from trimtab.run.lease import lapsed
from trimtab.run.outside import FAULTS, outside
from trimtab.run.route import Assignment
from trimtab.run.scope import APPROVAL, SETTLE, Scope
from trimtab.run.tool import Step, Tool
from trimtab.run.toolbox import Use
from trimtab.run.visibility import leak

LOOKS = 3


@dataclass(frozen=True, slots=True)
class Held:
    """The call was not made: `event` must decide first."""

    event: str


class Stopped(Handoff[Json]):
    """The call was not made: it would have told its reader too much."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The call may have been made: `event` must say."""

    event: str
    reason: str


CallOutcome: TypeAlias = "Done[Json] | Handoff[Json] | Rejected | Failed | Held | Unknown | Later"

# What a write that came to this outcome means for the ledger of effects.
_LEDGER: Mapping[str, str] = {"done": "committed", "handoff": "committed", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class _Unclear:
    """Nobody here can say whether the call took effect."""

    reason: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose arguments were checked. `name` names its steps, without the attempt; `reads` is what its subtask read before."""

    scope: Scope
    job: Assignment
    tool: Tool
    use: ToolUse
    name: str
    reads: Sequence[Json] = ()

    @property
    def key(self) -> str:
        """The same on every attempt of this call, another for other arguments and in another run."""
        return digest([self.scope.run_id, self.job.subtask.id, self.tool.name, self.use.arguments])

    async def make(self) -> CallOutcome:
        """Make the call when it may be made, and again while it asks for it; done is what also holds."""
        for gate in (self._leak, self._decision, self._leased):
            if (stopped := await gate()) is not None:
                return stopped
        outcome = await self._tried()
        return await self._ensured(outcome) if isinstance(outcome, Done | Handoff) else outcome

    # -- before ----------------------------------------------------------------------------------------------------

    async def _leak(self) -> Stopped | None:
        step = f"{self.name}/scan"
        found = self.scope.steps.known(step)
        if found is None:
            scanned = self.tool.reader is not None and not self._begun
            leaked = leak(self.scope, self.job, self.tool, self.use, self.reads) if scanned else None
            if leaked is None:
                return None
            fact = self._fact(step, 0, "stopped", leaked.error_class, leaked.reason, 0.0)
            found = await self.scope.steps.step(step, lambda: _ready(Worked(leaked.reason, [fact])))
        return Stopped(Status.NEEDS_YOU, None, str(found), stops=True)

    @property
    def _begun(self) -> bool:
        name = f"{self.name}/1"
        return self.scope.steps.known(name) is not None or any(b.name == name for b in self.scope.steps.begun())

    async def _leased(self) -> Later | None:
        # A call that may have waited since its subtask began: for a decision, or for the end of quiet hours.
        if (self.tool.approval is None and self.tool.quiet is None) or self._begun:
            return None
        return await lapsed(self.scope, self.job, f"{self.name}/lease")

    async def _decision(self) -> Held | Rejected | None:
        if self.tool.approval is None:
            return None
        held = await self.scope.steps.step(f"{self.name}/approval", self._needs_approval)
        if not held:
            return None
        decision = self._approval()
        if decision is None:
            return Held(APPROVAL + self.key)
        return None if decision["approved"] is True else Rejected(f"denied by {decision['by']}")

    def _approval(self) -> Any:
        return self.scope.steps.event(APPROVAL + self.key)

    async def _needs_approval(self) -> Worked:
        try:
            held = await outside(self.scope.means.tools.held(self._use(0)))
        except FAULTS as error:  # a predicate that cannot say leaves the decision to a person
            held = f"approval predicate raised {type(error).__name__}: {error}"
        reason = held if isinstance(held, str) else f"{self.job.subtask.call} waits for a person's decision"
        return Worked(bool(held), [self._fact(f"{self.name}/approval", 0, "held", "", reason, 0.0)] if held else [])

    def _put_off(self) -> Later | None:
        if self.tool.quiet is None:
            return None
        at = self.scope.means.tools.put_off(self._use(0))
        return None if at is None or at <= self.scope.means.clock.now() else Later(at, "put off until quiet hours end")

    # -- made ------------------------------------------------------------------------------------------------------

    async def _tried(self) -> CallOutcome:
        steps = self.scope.steps
        attempt = 0
        while True:
            attempt += 1
            name = f"{self.name}/{attempt}"
            if steps.known(name) is None and (put_off := self._put_off()) is not None:
                return put_off
            saved: Any = await self._attempted(name, attempt)
            if saved["outcome"] == "unknown":
                said: Any = steps.event(SETTLE + name)
                if said is None:
                    return Unknown(SETTLE + name, saved["reason"])
                if said["made"]:
                    return Done(said["result"])
                continue
            outcome = read_outcome(saved)
            if not isinstance(outcome, Retry):
                return outcome
            if saved["retry_at"] is None:
                return Failed(f"{self.tool.name}: {outcome.reason} (tried {attempt} times)", outcome.error_class)
            if later := await self.scope.wait(saved["retry_at"]):
                return Later(later, outcome.reason)

    async def _attempted(self, name: str, attempt: int) -> Json:
        if not self.tool.writes:
            return await self.scope.steps.step(name, lambda: self.attempt(attempt))
        begin: Json = {
            "key": self.key,
            "subtask": self.job.subtask.id,
            "role": self.job.specialist.role,
            "tool": self.tool.name,
            "arguments": self.use.arguments,
            "after": sorted(self.job.results),
        }
        reserved = Worked(begin, [self.effect_fact(name, "reserved")])
        return await self.scope.steps.once(name, reserved, lambda found: self._write(attempt, found), shielded=True)

    async def settle(self, name: str) -> Json:
        """Find out what came of an attempt that was begun and never finished, without making it again."""

        async def only_look(found: bool) -> Worked:  # noqa: FBT001 - the engine's protocol
            del found
            outcome = await self._looked_up(1, "the process ended while it was made")
            return self._worked(outcome or Rejected("it was not made"), 1, name, time.perf_counter())

        return await self.scope.steps.once(name, Worked(None), only_look, shielded=True)

    async def attempt(self, number: int, name: str | None = None) -> Worked:
        """Make a reading call once, as attempt `number`; gives the outcome to journal and its fact."""
        began = time.perf_counter()
        try:
            outcome = await self._called(number)
        except (OSError, TimeoutError) as error:
            outcome = Retry(f"{type(error).__name__}: {error}", error_class="connection")
        except FAULTS as error:  # a tool is the user's code: its faults fail its subtask, not the worker
            outcome = Failed(f"{self.tool.name} raised {type(error).__name__}: {error}", type(error).__name__)
        return self._worked(outcome, number, name or f"{self.name}/{number}", began)

    async def _write(self, number: int, found: bool) -> Worked:  # noqa: FBT001 - the engine's protocol
        began, name = time.perf_counter(), f"{self.name}/{number}"
        looked: Outcome[object] | _Unclear | None = None
        if found and (looked := await self._looked_up(number, "the process ended while it was made")) is not None:
            return self._worked(looked, number, name, began)
        try:
            return self._worked(await self._called(number), number, name, began)
        except FAULTS as error:  # a tool that raised may have done its work before: never silently again
            raised = f"{self.tool.name} raised {type(error).__name__}: {error}"
            looked = await self._looked_up(number, raised)
            if looked is None:
                again = isinstance(error, OSError | TimeoutError)
                looked = Retry(raised, error_class="connection") if again else Failed(raised, type(error).__name__)
            return self._worked(looked, number, name, began)

    async def _called(self, number: int) -> Outcome[object]:
        given: object = await outside(self.scope.means.tools.make(self._use(number)))
        outcome: Outcome[object] = given if is_outcome(given) else Done(given)
        if isinstance(outcome, Done | Handoff):
            self.tool.dump(outcome.value)
        return outcome

    async def _looked_up(self, number: int, why: str) -> Outcome[object] | _Unclear | None:
        if not self.scope.means.tools.can_look_up(self.tool):
            return _Unclear(f"{why}; {self.tool.name} has no lookup, so it may have taken effect")
        for look in range(1, LOOKS + 1):
            try:
                given: object = await outside(self.scope.means.tools.look_up(self._use(number)))
                outcome: Outcome[object] | None = given if is_outcome(given) or given is None else Done(given)
                if isinstance(outcome, Done | Handoff):
                    self.tool.dump(outcome.value)
            except FAULTS as error:  # a lookup is the user's code: its faults leave the question open
                outcome = Retry(f"{type(error).__name__}: {error}")
            if not isinstance(outcome, Retry | Failed):
                return outcome
            why = f"{why}; its lookup cannot say: {outcome.reason}" if look == 1 else why
            limits = self.scope.means.limits
            delay = limits.delay(look, outcome.after if isinstance(outcome, Retry) else None)
            if isinstance(outcome, Failed) or delay > limits.hold_in_memory:
                # An effect that was begun is waited for, by who cancels and by who stops the worker: not for hours.
                break
            await asyncio.sleep(delay.total_seconds())
        return _Unclear(why)

    # -- after -----------------------------------------------------------------------------------------------------

    async def _ensured(self, outcome: Done[Json] | Handoff[Json]) -> CallOutcome:
        if self.tool.holds is None:
            return outcome
        steps = self.scope.steps
        attempt = 0
        while True:
            attempt += 1
            saved: Any = await steps.step(
                f"{self.name}/holds/{attempt}", lambda a=attempt: self._checked(a, outcome.value)
            )
            if saved["holds"] is True:
                return outcome
            if saved["retry_at"] is None:
                return Failed(f"{self.tool.name} was made, but {saved['holds']}", "postcondition")
            if later := await self.scope.wait(saved["retry_at"]):
                return Later(later, str(saved["holds"]))

    async def _checked(self, attempt: int, value: Json) -> Worked:
        means = self.scope.means
        try:
            holds = await outside(means.tools.holds(self._use(attempt), value))
        except FAULTS as error:  # the user's code: a check that cannot say does not hold
            holds = f"its check raised {type(error).__name__}: {error}"
        if holds is True:
            return Worked({"holds": True, "retry_at": None})
        retry_at = means.limits.retry_at(means.clock.now(), "postcondition", attempt)
        return Worked({"holds": holds or "its check does not hold", "retry_at": retry_at})

    def _worked(self, outcome: Outcome[object] | _Unclear, number: int, name: str, began: float) -> Worked:
        means = self.scope.means
        latency = (time.perf_counter() - began) * 1000
        kind, error_class, reason = type(outcome).__name__.lower(), "", ""
        saved: dict[str, Json] = {"retry_at": None}
        match outcome:
            case Done(value):
                saved |= {"value": self.tool.dump(value)}
            case Handoff(status, value, reason, stops):
                saved |= {"value": self.tool.dump(value), "status": status, "stops": stops}
            case Rejected(reason):
                pass
            case _Unclear(reason):
                kind = "unknown"
            case Failed(reason, error_class):
                saved |= {"error_class": error_class}
            case Retry(reason, after, error_class):
                retry_at = means.limits.retry_at(means.clock.now(), error_class, number, after)
                saved |= {"error_class": error_class, "retry_at": retry_at}
        saved |= {"outcome": kind, "reason": reason}
        facts: list[Fact] = [self._fact(name, number, kind, error_class, reason, latency)]
        if self.tool.writes:
            facts.append(self.effect_fact(name, _LEDGER.get(kind, "released"), reason))
        return Worked(saved, facts)

    def step(self, attempt: int) -> Step:
        """Give what the tool may know of this call."""
        scope, decision = self.scope, self._approval()
        by = decision["by"] if decision and decision["approved"] is True else None
        return Step(scope.run_id, self.job.subtask.id, self.key, attempt, scope.means.clock.now(), scope.request, by)

    def _use(self, attempt: int) -> Use:
        return Use(self.job.specialist, self.tool, self.step(attempt), self.use.arguments)

    def effect_fact(self, name: str, state: str, reason: str = "", by: str = "") -> EffectFact:
        """Write a line of the ledger of effects."""
        return EffectFact(
            run_id=self.scope.run_id,
            step=name,
            state=state,
            key=self.key,
            subtask=self.job.subtask.id,
            role=self.job.specialist.role,
            tool=self.tool.name,
            effect=self.tool.effect,
            reason=reason,
            by=by,
            at=self.scope.means.clock.now(),
        )

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


async def _ready(worked: Worked) -> Worked:
    return worked


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
