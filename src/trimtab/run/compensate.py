"""The saga: of a run that goes no further, what was written is taken back, the last first, durably."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from trimtab.core.messages import ToolUse
from trimtab.core.outcome import Failed, Rejected, Retry, Status
from trimtab.core.plan import Subtask
from trimtab.core.ports import Begun, Standing, Worked
from trimtab.core.values import Json, digest
from trimtab.run.call import Call
from trimtab.run.outside import FAULTS, outside
from trimtab.run.route import Assignment
from trimtab.run.scope import RESUME, SETTLE, Scope
from trimtab.run.spend import write_off
from trimtab.run.standing import ended, parked
from trimtab.run.toolbox import Use

END = "end"
UNDO = "undo/"


@dataclass(frozen=True, slots=True)
class End:
    """How a run that goes no further ends, once all that can be taken back is."""

    status: Status
    error: str = ""
    reason: str = ""
    first: bool = False
    replans: int = 0


@dataclass(slots=True)
class _Left:
    """What is not taken back: `stands` for good, `open` until one of `events`, or `until`."""

    stands: list[str] = field(default_factory=list[str])
    open: list[str] = field(default_factory=list[str])
    events: set[str] = field(default_factory=set[str])
    until: datetime | None = None
    keep: set[str] = field(default_factory=set[str])


def decided(scope: Scope) -> End | None:
    """Give how the run ends where that was decided in an earlier life."""
    saved: Any = scope.steps.known(END)
    return None if saved is None else replace(End(**saved), status=Status(saved["status"]))


async def unwind(scope: Scope, end: End) -> Standing:
    """Take back every reversible write that was committed, in reverse order of dependency, and say how the run stands.

    The order is that of the journal, backwards: what needs a write is always begun after it was committed. Where one cannot be
    taken back, what it rests on stays too, and a person is asked.
    """
    await scope.steps.step(END, lambda: _decide(end))
    write_off(scope)
    left = _Left()
    for begun in reversed([b for b in scope.steps.begun() if isinstance(b.begin, Mapping) and "key" in b.begin]):
        await _take_back(scope, begun, left)
    reason = "; ".join(filter(None, [end.reason, *left.stands, *left.open]))
    if left.events or left.until is not None:
        events = frozenset({*left.events, scope.resume_event})
        status = Status.NEEDS_YOU if left.events else Status.DEFERRED
        return parked(
            scope.steps,
            scope.means.clock,
            status,
            events,
            until=left.until,
            error=end.error or end.status.capitalize(),
            reason=reason,
            first=end.first,
            replans=end.replans,
        )
    return ended(
        scope.steps,
        scope.means.clock,
        end.status,
        error=end.error,
        reason=reason,
        first=end.first,
        replans=end.replans,
    )


async def _decide(end: End) -> Worked:
    return Worked(asdict(end))


async def _take_back(scope: Scope, begun: Begun, left: _Left) -> None:
    begin: Any = begun.begin
    what = f"{begin['role']}.{begin['tool']} of {begin['subtask']}"
    call = _call_of(scope, begun)
    if call is None:
        left.open.append(f"{what} cannot be taken back: this application has no such tool")
        left.events.add(scope.resume_event)
        left.keep.update(begin["after"])
        return
    saved: Any = begun.result if begun.result is not None else await call.settle(begun.name)
    made, value = _made(scope, begun.name, saved)
    if made is None:
        left.open.append(f"{what} may have been made: {saved['reason']}")
        left.events.add(SETTLE + begun.name)
        left.keep.update(begin["after"])
    elif made and call.tool.effect == "irreversible":
        left.stands.append(f"{what} stands: it cannot be taken back")
    elif made and begin["subtask"] in left.keep:
        left.open.append(f"{what} stays: what rests on it is not taken back")
    elif made:
        await _Undo(scope, call, begun, value).until_undone(left, what)


def _call_of(scope: Scope, begun: Begun) -> Call | None:
    begin: Any = begun.begin
    specialist = scope.workflow.specialists.get(begin["role"])
    tool = specialist.tools.get(begin["tool"]) if specialist else None
    if specialist is None or tool is None:
        return None
    job = Assignment(Subtask(begin["subtask"], begin["role"], begin["tool"]), specialist, tool, {}, {})
    return Call(scope, job, tool, ToolUse("", tool.name, begin["arguments"]), begun.name.rpartition("/")[0])


def _made(scope: Scope, name: str, saved: Mapping[str, Any]) -> tuple[bool | None, Json]:
    if saved["outcome"] != "unknown":
        return saved["outcome"] in ("done", "handoff"), saved.get("value")
    said: Any = scope.steps.event(SETTLE + name)
    return (None, None) if said is None else (bool(said["made"]), said.get("result"))


@dataclass(frozen=True, slots=True)
class _Undo:
    """One compensation, repeated until it is done or known to be impossible."""

    scope: Scope
    call: Call
    begun: Begun
    value: Json

    async def until_undone(self, left: _Left, what: str) -> None:
        name = UNDO + self.begun.name
        for turn in count():
            if self.scope.steps.event(SETTLE + name) is not None:
                return
            saved = await self._turn(f"{name}/{turn}", left)
            if saved is None or saved["undone"]:
                return
            if self.scope.steps.event(f"{RESUME}{turn}") is None:
                left.open.append(f"{what} could not be taken back: {saved['reason']}")
                left.events.add(SETTLE + name)
                left.keep.update(self._begin["after"])
                return

    @property
    def _begin(self) -> Any:
        return self.begun.begin

    async def _turn(self, name: str, left: _Left) -> Any:
        for attempt in count(1):
            step = f"{name}.{attempt}"
            # Not interrupted half way, neither by a cancel nor by the worker stopping.
            saved: Any = await self.scope.steps.once(
                step, Worked(None), lambda _, s=step, a=attempt: self._attempt(s, a), shielded=True
            )
            if saved["undone"] or saved["retry_at"] is None:
                return saved
            if at := await self.scope.wait(saved["retry_at"]):
                left.until = min(at, left.until) if left.until else at
                left.keep.update(self._begin["after"])
                left.open.append(f"{saved['reason']}: tried again later")
                return None
        return None

    async def _attempt(self, name: str, attempt: int) -> Worked:
        means, call = self.scope.means, self.call
        # Its own key, so that a payment service does not take it for the call it takes back.
        own = replace(
            self.call.step(attempt), idempotency_key=digest([self.call.key, "undo"]), compensates=self.call.key
        )
        again = True
        after = None
        try:
            use = Use(call.job.specialist, call.tool, own, call.use.arguments)
            given = await outside(means.tools.take_back(use, self.value))
        except FAULTS as error:  # the user's code: whatever it was, it is tried again
            given = Retry(f"{type(error).__name__}: {error}")
        match given:
            case Retry(reason, after, _):
                pass
            case Rejected(reason) | Failed(reason):
                again = False
            case _:
                fact = self.call.effect_fact(name, "compensated")
                return Worked({"undone": True, "reason": "", "retry_at": None}, [fact])
        retry_at = means.limits.retry_at(means.clock.now(), "compensation", attempt, after) if again else None
        facts = [] if retry_at else [self.call.effect_fact(name, "uncompensated", reason)]
        return Worked({"undone": False, "reason": reason, "retry_at": retry_at}, facts)
