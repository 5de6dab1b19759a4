"""A reference executor: walks a plan straight over the tools, by the rules of FORMAT and of trimtab's scheduler."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from charter.evidence import read_plan
from charter.request import BookingRequest
from charter.workflow import CharterBooking
from trimtab import Failed, Handoff, Plan, Rejected, Retry, Status, Step, Stop, Subtask
from trimtab.core.plan import resolve


@dataclass
class Outcome:
    """What became of a run."""

    status: Status
    results: dict[str, Any]
    states: dict[str, str]
    stops: list[Stop]
    steps: list[tuple[Subtask, Step, Any, Any]] = field(default_factory=list)
    held: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def step_for(request: BookingRequest, subtask: str, run_id: str = "run-1", key: str = "") -> Step:
    return Step(run_id, subtask, key or f"{run_id}/{subtask}", 1, datetime(2031, 1, 1, tzinfo=UTC), request)


async def execute(
    workflow: CharterBooking,
    request: BookingRequest,
    plan: Plan | Mapping[str, Any],
    *,
    backwards: bool = False,
    approved: Iterable[str] = (),
    run_id: str = "run-1",
) -> Outcome:
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    approved = set(approved)
    results: dict[str, Any] = {"request": {"text": request.text}}
    out = Outcome(Status.COMPLETED, results, {}, [])
    while ready := _ready(workflow, plan, out):
        subtask = ready[-1 if backwards else 0]
        before = plan.ancestors(subtask.id)
        await _work(workflow, request, subtask, out, before=before, approved=approved, run_id=run_id)
    results.pop("request")
    out.status = workflow.settle(request, out.stops, results)
    return out


def _ready(workflow: CharterBooking, plan: Plan, out: Outcome) -> list[Subtask]:
    ready, moved = [], True
    while moved:
        moved, ready = False, []
        for subtask in plan.subtasks:
            if subtask.id in out.states or any(n not in out.states for n in subtask.needs):
                continue
            needs = [out.states[n] for n in subtask.needs]
            if all(s == "done" for s in needs):
                ready.append(subtask)
            elif "skipped" in needs:
                out.states[subtask.id], moved = "skipped", True
            elif not workflow.specialists[subtask.specialist].tools[subtask.action].waits and _resolves(subtask, out):
                ready.append(subtask)
            else:
                out.states[subtask.id], moved = "waits", True
    return ready


def _resolves(subtask: Subtask, out: Outcome) -> bool:
    try:
        resolve(subtask.inputs, out.results)
    except KeyError:
        return False
    return True


async def _work(
    workflow, request, subtask: Subtask, out: Outcome, *, before: Collection[str], approved: set[str], run_id: str
) -> None:
    specialist = workflow.specialists[subtask.specialist]
    tool = specialist.tools[subtask.action]
    inputs: Any = resolve(subtask.inputs, out.results)
    step = step_for(request, subtask.id, run_id)
    guarded = workflow.guard(request, subtask, inputs, {k: v for k, v in out.results.items() if k in before})
    if guarded is not None:
        _settle(out, subtask, guarded, None)
        return
    wrong = tool.check(inputs)
    assert not wrong, f"{subtask.id}: {wrong}"
    arguments = tool.read(inputs)
    if tool.approval is not None and subtask.id not in approved:
        answer = tool.approval(specialist, step, arguments)
        if await answer if inspect.isawaitable(answer) else answer:
            out.held[subtask.id] = inputs
            out.states[subtask.id] = "held"
            out.stops.append(Stop(subtask, Status.AWAITING_APPROVAL, "held", held=True, stops=True))
            return
    got = await getattr(specialist, subtask.action)(step, **arguments)
    out.steps.append((subtask, step, arguments, got))
    value = got.value if isinstance(got, Handoff) else got
    _settle(out, subtask, got, None if isinstance(got, Rejected | Retry | Failed) else tool.dump(value))


def _settle(out: Outcome, subtask: Subtask, got: Any, value: Any) -> None:
    if isinstance(got, Rejected):
        out.states[subtask.id] = "rejected"
        out.stops.append(Stop(subtask, Status.ESCALATED, got.reason, held=False, stops=True))
        return
    assert not isinstance(got, Retry | Failed), got
    out.results[subtask.id] = value
    out.states[subtask.id] = "done"
    if isinstance(got, Handoff):
        out.stops.append(Stop(subtask, got.status, got.reason, held=False, stops=got.stops))
        if got.stops:
            out.states[subtask.id] = "skipped" if got.status is Status.NO_ACTION else "stopped"
