"""The scheduler: every subtask starts the moment its needs are done; there are no waves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Status
from trimtab.core.pin import ORCHESTRATOR
from trimtab.core.plan import Plan, Subtask
from trimtab.core.records import SubtaskFact
from trimtab.core.values import Json
from trimtab.run.agent import SubtaskOutcome, work
from trimtab.run.ask import Later, Stuck
from trimtab.run.call import Held, Unknown
from trimtab.run.lease import lapsed
from trimtab.run.route import Assignment, resolvable, route
from trimtab.run.scope import Scope
from trimtab.run.workflow import Stop


class State(StrEnum):
    """Where a subtask stands.

    started:  a specialist is at work, or was when the process ended.
    done:     it has its result.
    handed:   it has its result and somebody else acts next; what needs it may go on.
    stopped:  as `handed`, but what needs it must wait.
    held:     its call waits for a decision; it was not made.
    unknown:  its write may have taken effect; a person has to say.
    delayed:  it goes on at a known time, or when a person lets it.
    stuck:    no model could do it.
    rejected: the world said no.
    failed:   it cannot work.
    blocked:  something it needs failed or was rejected.
    waiting:  something it needs is stopped, held, delayed or waiting.
    skipped:  there was nothing to do for what it needs, hence nothing here.
    replaced: another plan took its place.
    """

    STARTED = "started"
    DONE = "done"
    HANDED = "handed"
    STOPPED = "stopped"
    HELD = "held"
    UNKNOWN = "unknown"
    DELAYED = "delayed"
    STUCK = "stuck"
    REJECTED = "rejected"
    FAILED = "failed"
    BLOCKED = "blocked"
    WAITING = "waiting"
    SKIPPED = "skipped"
    REPLACED = "replaced"


_GOES_ON = frozenset({State.DONE, State.HANDED})
_NO_WAY = frozenset({State.REJECTED, State.FAILED, State.BLOCKED})
_CAN_STILL_FAIL = frozenset({State.HELD, State.UNKNOWN, State.DELAYED, State.STUCK, State.WAITING})
# Faults of a plan and not of who carries it out.
_OF_PLAN = frozenset({"unresolved", "inputs"})


@dataclass(frozen=True, slots=True)
class Stand:
    """How one subtask came out."""

    state: State
    status: Status | None = None
    reason: str = ""
    value: Json = None
    event: str = ""
    until: datetime | None = None
    cause: str = ""
    owner: str = ""
    step: str = ""


@dataclass(slots=True)
class Execution:
    """What became of a plan so far."""

    plan: Plan
    stands: dict[str, Stand] = field(default_factory=dict[str, Stand])

    @property
    def results(self) -> dict[str, Json]:
        """Results by subtask id, of those that have one."""
        with_result = _GOES_ON | {State.STOPPED}
        return {i: s.value for i, s in self.stands.items() if s.state in with_result}

    def results_for(self, subtask: Subtask) -> dict[str, Json]:
        """Results of what ended before a subtask by its needs, whatever else has ended by chance."""
        before = self.plan.ancestors(subtask.id)
        return {i: value for i, value in self.results.items() if i in before}

    @property
    def stops(self) -> list[Stop]:
        """Everything that keeps the run from being simply complete, in plan order."""
        listed = ((s, self.stands[s.id]) for s in self.plan.subtasks if s.id in self.stands)
        return [
            Stop(subtask, stand.status, stand.reason, stand.state is State.HELD, stand.state is not State.HANDED)
            for subtask, stand in listed
            if stand.status is not None
        ]

    @property
    def failures(self) -> list[str]:
        """What failed, in plan order."""
        listed = ((s, self.stands.get(s.id)) for s in self.plan.subtasks)
        return [f"{s.id} ({s.call}): {stand.reason}" for s, stand in listed if stand and stand.state is State.FAILED]

    @property
    def stuck(self) -> list[str]:
        """What no model could do, in plan order."""
        return [s.id for s in self.plan.subtasks if s.id in self.stands and self.stands[s.id].state is State.STUCK]

    @property
    def stalled(self) -> Status | None:
        """What of the run trimtab itself stopped, the most urgent first; None: nothing."""
        order = list(Status)
        found = [s.status for s in self.stands.values() if s.status is not None and s.status.stalls]
        return min(found, key=order.index, default=None)

    @property
    def waits(self) -> bool:
        """Whether something may go on once an event arrives or a time comes."""
        return any(s.state in (State.HELD, State.UNKNOWN, State.DELAYED, State.STUCK) for s in self.stands.values())

    @property
    def events(self) -> frozenset[str]:
        """The events that what does not go on by itself waits for."""
        return frozenset(s.event for s in self.stands.values() if s.event)

    @property
    def until(self) -> datetime | None:
        """The time of the first delayed subtask."""
        return min((s.until for s in self.stands.values() if s.until is not None), default=None)


async def execute(scope: Scope, plan: Plan, stands: Mapping[str, Stand] | None = None) -> Execution:
    """Work until nothing more can be done before somebody or something else acts; `stands`: what is settled already."""
    done = Execution(plan, dict(stands or {}))
    running: dict[asyncio.Task[Stand], Subtask] = {}
    try:
        while True:
            _start_ready(scope, done, running)
            if not running:
                return done
            finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                subtask = running.pop(task)
                _settle(scope, done, subtask, task.result())
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _start_ready(scope: Scope, done: Execution, running: dict[asyncio.Task[Stand], Subtask]) -> None:
    # A subtask that is settled without being started may let others be settled: hence the loop.
    moved = True
    while moved:
        moved = False
        busy = {s.id for s in running.values()}
        for subtask in done.plan.subtasks:
            if subtask.id in done.stands or subtask.id in busy or not all(n in done.stands for n in subtask.needs):
                continue
            moved = True
            if (stand := _barred(scope, done, subtask)) is not None:
                _settle(scope, done, subtask, stand)
            else:
                note(scope, subtask, Stand(State.STARTED))
                running[asyncio.ensure_future(_kept(_work(scope, subtask, done.results_for(subtask))))] = subtask


def _barred(scope: Scope, done: Execution, subtask: Subtask) -> Stand | None:
    needs = [done.stands[n] for n in subtask.needs]
    if all(s.state in _GOES_ON for s in needs):
        return None
    if any(s.state is State.SKIPPED or (s.state is State.STOPPED and s.status is Status.NO_ACTION) for s in needs):
        return Stand(State.SKIPPED, reason="nothing to do")
    action = scope.workflow.specialists[subtask.specialist].tools[subtask.action]
    may_go_first = not action.waits and not (action.effect == "irreversible" and _write_pending(scope, done, subtask))
    if may_go_first and resolvable(scope, subtask, done.results_for(subtask)):
        return None
    if (failed := next((s for s in needs if s.state in _NO_WAY), None)) is not None:
        return Stand(State.BLOCKED, reason=_because(done, subtask, _NO_WAY), cause=failed.cause, owner=failed.owner)
    return Stand(State.WAITING, reason=_because(done, subtask, frozenset(State) - _GOES_ON))


def _write_pending(scope: Scope, done: Execution, subtask: Subtask) -> bool:
    # What cannot be taken back does not go ahead of a write it depends on that can still fail.
    before = (done.plan[i] for i in done.plan.ancestors(subtask.id))
    return any(
        scope.workflow.specialists[s.specialist].tools[s.action].writes and done.stands[s.id].state in _CAN_STILL_FAIL
        for s in before
    )


def _because(done: Execution, subtask: Subtask, states: frozenset[State]) -> str:
    return ", ".join(f"{n} is {done.stands[n].state}" for n in subtask.needs if done.stands[n].state in states)


async def _kept(work: Awaitable[Stand]) -> Stand:
    # Asyncio lets SystemExit pass through a task to the process.
    try:
        return await work
    except SystemExit as error:
        raise RuntimeError(f"SystemExit: {error}") from error


async def _work(scope: Scope, subtask: Subtask, results: Mapping[str, Json]) -> Stand:
    job = route(scope, subtask, results)
    if isinstance(job, Failed):
        return _stand(subtask, job)
    guarded = scope.workflow.guard(scope.request, subtask, job.inputs, results)
    outcome = guarded if guarded is not None else await _leased(scope, job)
    if isinstance(outcome, Done) and (wrong := scope.workflow.ensure(scope.request, subtask, outcome.value)):
        outcome = Failed(wrong, "postcondition")
    return _stand(subtask, outcome)


async def _leased(scope: Scope, job: Assignment) -> SubtaskOutcome:
    return await lapsed(scope, job, f"do/{job.subtask.id}/lease") or await work(scope, job)


def _stand(subtask: Subtask, outcome: SubtaskOutcome) -> Stand:
    role = subtask.specialist
    match outcome:
        case Done(value):
            stand = Stand(State.DONE, value=value)
        case Handoff(status, value, reason, stops):
            stand = Stand(State.STOPPED if stops else State.HANDED, status, reason, value)
        case Held(event):
            stand = Stand(State.HELD, Status.AWAITING_APPROVAL, "waits for a person's decision", event=event)
        case Unknown(event, reason):
            stand = Stand(State.UNKNOWN, Status.NEEDS_YOU, reason, event=event, cause=subtask.id, owner=role)
        case Later(at, reason, status):
            stand = Stand(State.DELAYED, status, reason, until=at)
        case Stuck(reason, error_class, step, event):
            owner = ORCHESTRATOR if error_class in _OF_PLAN else role
            reason = f"{reason} [{error_class}]"
            stand = Stand(State.STUCK, Status.NEEDS_YOU, reason, event=event, cause=subtask.id, owner=owner, step=step)
        case Rejected(reason):
            # The world said no to what was planned: a person has to look.
            stand = Stand(State.REJECTED, Status.ESCALATED, reason, cause=subtask.id, owner=role)
        case Failed(reason, error_class):
            owner = ORCHESTRATOR if error_class in _OF_PLAN else role
            stand = Stand(State.FAILED, reason=f"{reason} [{error_class}]", cause=subtask.id, owner=owner)
        case _:
            assert_never(outcome)
    return stand


def _settle(scope: Scope, done: Execution, subtask: Subtask, stand: Stand) -> None:
    done.stands[subtask.id] = stand
    note(scope, subtask, stand)


def note(scope: Scope, subtask: Subtask, stand: Stand) -> None:
    """Write down that a subtask entered a state."""
    scope.steps.record(
        SubtaskFact(
            run_id=scope.run_id,
            subtask=subtask.id,
            state=stand.state,
            specialist=subtask.specialist,
            action=subtask.action,
            status=stand.status,
            reason=stand.reason,
            at=scope.means.clock.now(),
            cause=stand.cause,
            owner=stand.owner,
        )
    )
