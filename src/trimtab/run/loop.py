"""The run loop, whole: plan, route, execute, and say how the run stands."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never

from trimtab.core.errors import DeclarationError, RequestError
from trimtab.core.outcome import Status
from trimtab.core.pin import ORCHESTRATOR, pin_from_json
from trimtab.core.ports import CANCEL, Ended, Parked, Standing, Steps
from trimtab.core.values import Json
from trimtab.run.ask import Later, Stuck
from trimtab.run.compensate import End, decided, unwind
from trimtab.run.execute import State
from trimtab.run.ladder import note
from trimtab.run.outside import FAULTS
from trimtab.run.plan import Clarify, Planned, make_plan
from trimtab.run.replan import Course, carry_out, replans
from trimtab.run.scope import Means, Scope
from trimtab.run.standing import ended, parked
from trimtab.run.workflow import Workflow

LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RunLoop:
    """Implements `core.ports.Conductor` for the workflows of one app."""

    workflows: Mapping[str, Workflow[Any, Any]]
    means: Means

    async def perform(self, steps: Steps, payload: str) -> Standing:
        """Do a run's work, or replay it and go on."""
        standing = await self._perform(steps, payload)
        if isinstance(standing, Ended):
            self.means.budgets.forget(steps.run_id)
        return standing

    async def _perform(self, steps: Steps, payload: str) -> Standing:
        try:
            scope = self._scope(steps, payload)
        except (DeclarationError, RequestError) as error:
            # This worker's code does not fit the run; another's may, so it is kept.
            until = self.means.clock.now() + LOOK_AGAIN
            return parked(steps, self.means.clock, Status.NEEDS_YOU, until=until, reason=str(error))
        if (end := _decided(scope)) is not None:
            return await unwind(scope, end)
        planned = await make_plan(scope)
        match planned:
            case Planned(_, first):
                return await self._stands(scope, await carry_out(scope, planned), first=first)
            case Clarify(questions):
                return ended(steps, self.means.clock, Status.CLARIFY, reason=" ".join(questions), first=True)
            case Stuck(reason, error_class, _, event):
                note(scope, planned, "person", ORCHESTRATOR, None)
                return self._parked(scope, Status.NEEDS_YOU, {event}, reason=f"{error_class}: {reason}")
            case Later(at, reason, status):
                return self._parked(scope, status, until=at, reason=reason)
            case _:
                assert_never(planned)

    async def broken(self, steps: Steps, payload: str, error: Exception) -> Standing:
        """Take back what can be taken back of a run whose code raised."""
        try:
            scope = self._scope(steps, payload)
            end = End(Status.FAILED, type(error).__name__, str(error), replans=replans(scope))
            return await unwind(scope, _decided(scope) or end)
        except FAULTS as worse:  # the last line of defence: the run waits for a person
            reason = f"{type(error).__name__}: {error}; and then {type(worse).__name__}: {worse}"
            until = self.means.clock.now() + LOOK_AGAIN
            return parked(steps, self.means.clock, Status.NEEDS_YOU, until=until, reason=reason)

    def _scope(self, steps: Steps, payload: str) -> Scope:
        saved = json.loads(payload)
        workflow = self.workflows.get(saved["workflow"])
        if workflow is None:
            raise DeclarationError(
                f"this app has no workflow {saved['workflow']!r}", hint="start the worker with the app that declared it"
            )
        request = workflow.read_request(saved["request"])
        return Scope(self.means, steps, workflow, request, saved["request"], pin_from_json(saved["pin"]))

    async def _stands(self, scope: Scope, course: Course, *, first: bool) -> Standing:
        done, asked = course.done, course.replans
        if done.failures:
            # What is still held is void: nobody should approve a part of something that has failed.
            reason = "; ".join(done.failures)
            return await unwind(scope, End(Status.FAILED, "SubtaskFailed", reason, first=first, replans=asked))
        if course.later is not None or done.waits:
            return self._waits(scope, course, first=first)
        status, reason = _status(scope, course), _reason(course)
        if done.stalled is not None:
            # Stopped by trimtab itself (a message would have told too much): there is nothing to conclude from half of it.
            return ended(scope.steps, self.means.clock, status, reason=reason, first=first, replans=asked)
        value = scope.workflow.conclude(scope.request, done.results)
        plain: Json = scope.workflow.result.dump_python(value, mode="json", by_alias=True)
        return ended(scope.steps, self.means.clock, status, value=plain, reason=reason, first=first, replans=asked)

    def _waits(self, scope: Scope, course: Course, *, first: bool) -> Parked:
        done, later = course.done, course.later
        for subtask in done.plan.subtasks:
            if (stand := done.stands.get(subtask.id)) is not None and stand.state is State.STUCK:
                stuck = Stuck(stand.reason, "", stand.step)
                note(scope, stuck, "person", subtask.specialist, subtask.id)
        return self._parked(
            scope,
            _status(scope, course),
            done.events,
            until=min(filter(None, (done.until, later.at if later else None)), default=None),
            reason=_reason(course),
            first=first,
            replans=course.replans,
        )

    def _parked(
        self,
        scope: Scope,
        status: Status,
        events: Collection[str] = (),
        *,
        until: datetime | None = None,
        reason: str,
        first: bool = False,
        replans: int = 0,
    ) -> Parked:
        resumed = {scope.resume_event} if status.stalls else frozenset[str]()
        return parked(
            scope.steps,
            self.means.clock,
            status,
            frozenset({CANCEL, *events, *resumed}),
            until=until,
            reason=reason,
            first=first,
            replans=replans,
        )


def _decided(scope: Scope) -> End | None:
    """Say how the run ends where that was decided before: by its own failure, else by whoever cancelled it."""
    by = scope.steps.event(CANCEL)
    if (end := decided(scope)) is not None or by is None:
        return end
    return End(Status.CANCELLED, reason=f"cancelled by {by}", replans=replans(scope))


def _status(scope: Scope, course: Course) -> Status:
    done, later = course.done, course.later
    put_off = later.status if later else None
    return done.stalled or put_off or scope.workflow.settle(scope.request, done.stops, done.results)


def _reason(course: Course) -> str:
    stops = [f"{s.subtask.id}: {s.reason}" for s in course.done.stops if s.reason]
    later = course.later.reason if course.later else ""
    return "; ".join(filter(None, [*stops, course.why, later]))
