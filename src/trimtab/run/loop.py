"""The run loop, whole: plan, route, execute, and say how the run stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from trimtab.core.errors import DeclarationError
from trimtab.core.outcome import Failed, Status
from trimtab.core.pin import pin_from_json
from trimtab.core.ports import Ended, Parked, Standing, Steps
from trimtab.core.records import OutcomeFact
from trimtab.core.values import Json
from trimtab.run.ask import Later
from trimtab.run.call import APPROVAL
from trimtab.run.execute import Execution, execute
from trimtab.run.plan import Clarify, Planned, make_plan
from trimtab.run.scope import Means, Scope
from trimtab.run.workflow import Workflow


@dataclass(frozen=True, slots=True)
class RunLoop:
    """Implements `core.ports.Conductor` for the workflows of one app."""

    workflows: Mapping[str, Workflow[Any, Any]]
    means: Means

    async def perform(self, steps: Steps, payload: str) -> Standing:
        """Do a run's work, or replay it and go on."""
        scope = self._scope(steps, payload)
        planned = await make_plan(scope)
        match planned:
            case Planned(plan, first):
                return self._stands(scope, await execute(scope, plan), first=first)
            case Clarify(questions):
                return self._ended(scope.run_id, Status.CLARIFY, reason=" ".join(questions), first=True)
            case Failed(reason, error_class):
                return self._ended(scope.run_id, Status.FAILED, error=error_class, reason=reason)
            case Later(at, reason):
                return self._parked(scope, Status.DEFERRED, frozenset(), until=at, reason=reason, first=False)
            case _:
                assert_never(planned)

    def cancelled(self, run_id: str, payload: str, by: str) -> Ended:
        """Say how a cancelled run ends."""
        del payload
        return self._ended(run_id, Status.CANCELLED, reason=f"cancelled by {by}")

    def broken(self, run_id: str, payload: str, error: Exception) -> Ended:
        """Say how a run ends whose code raised."""
        del payload
        return self._ended(run_id, Status.FAILED, error=type(error).__name__, reason=str(error))

    def _scope(self, steps: Steps, payload: str) -> Scope:
        saved = json.loads(payload)
        workflow = self.workflows.get(saved["workflow"])
        if workflow is None:
            raise DeclarationError(
                f"this app has no workflow {saved['workflow']!r}", hint="start the worker with the app that declared it"
            )
        request = workflow.read_request(saved["request"])
        return Scope(self.means, steps, workflow, request, saved["request"], pin_from_json(saved["pin"]))

    def _stands(self, scope: Scope, done: Execution, *, first: bool) -> Standing:
        if done.failures:
            # What is still held is void: nobody should approve a part of something that has failed.
            reason = "; ".join(done.failures)
            return self._ended(scope.run_id, Status.FAILED, error="SubtaskFailed", reason=reason, first=first)
        status = scope.workflow.settle(scope.request, done.stops, done.results)
        if done.events or done.until is not None:
            return self._parked(scope, status, done.events, until=done.until, reason=_reason(done), first=first)
        value = scope.workflow.conclude(scope.request, done.results)
        plain: Json = scope.workflow.result.dump_python(value, mode="json", by_alias=True)
        return self._ended(scope.run_id, status, value=plain, reason=_reason(done), first=first)

    def _parked(
        self, scope: Scope, status: Status, events: frozenset[str], *, until: Any, reason: str, first: bool
    ) -> Parked:
        number = scope.steps.count_events(APPROVAL)
        fact = self._fact(scope.run_id, number, status, final=False, value=None, error="", reason=reason, first=first)
        return Parked(status, events, until, None, reason, [fact])

    def _ended(
        self, run_id: str, status: Status, *, value: Json = None, error: str = "", reason: str = "", first: bool = False
    ) -> Ended:
        fact = self._fact(run_id, 0, status, final=True, value=value, error=error, reason=reason, first=first)
        return Ended(status, value, f"{error}: {reason}" if error else reason, [fact])

    def _fact(
        self,
        run_id: str,
        number: int,
        status: Status,
        *,
        final: bool,
        value: Json,
        error: str,
        reason: str,
        first: bool,
    ) -> OutcomeFact:
        return OutcomeFact(
            run_id=run_id,
            number=number,
            final=final,
            status=status,
            value=value,
            error=error,
            reason=reason,
            first_plan_faultless=first,
            intended_end=status.intended,
            replans=0,
            at=self.means.clock.now(),
        )


def _reason(done: Execution) -> str:
    return "; ".join([*done.failures, *(f"{s.subtask.id}: {s.reason}" for s in done.stops if s.reason)])
