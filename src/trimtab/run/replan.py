"""A plan is carried out; where no model can do a part of it, another plan is asked for what that part was to do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from trimtab.core.pin import ORCHESTRATOR
from trimtab.core.plan import Plan, Subtask
from trimtab.core.ports import Worked
from trimtab.core.records import RungFact
from trimtab.core.values import Json
from trimtab.run import prompt
from trimtab.run.ask import Later, Stuck
from trimtab.run.execute import Execution, Stand, State, execute, note
from trimtab.run.ladder import climb
from trimtab.run.ladder import note as note_rung
from trimtab.run.plan import Checked, Clarify, Planned, Planner, check_plan, repeats
from trimtab.run.scope import Scope

_NOT_STARTED = frozenset({State.WAITING, State.BLOCKED, State.SKIPPED})
# What a write came to of which it is certain that it was not made.
_NOT_MADE = frozenset({"rejected", "failed", "retry"})


@dataclass(frozen=True, slots=True)
class Course:
    """How far a run's plans came: what became of the last, how many were asked for after the first, and what is put off."""

    done: Execution
    replans: int
    later: Later | None = None
    why: str = ""


def replans(scope: Scope) -> int:
    """Count the plans that were asked for after the first, in earlier lives of this run."""
    return next(n for n in count() if scope.steps.known(_name(n)) is None)


async def carry_out(scope: Scope, planned: Planned) -> Course:
    """Work until nothing more can be done before somebody or something else acts.

    What is given up is decided in a journaled step before another plan is asked for, so that a replay does not take it up again.
    There a plan that was replaced is not carried out at all: what was kept of it is in the plan that replaced it.
    """
    plan, given = planned.plan, planned.given
    used = {s.id for s in plan.subtasks}
    stands: Mapping[str, Stand] = {}
    for number in count():
        done = None
        if scope.steps.known(_name(number)) is None:
            done = await execute(scope, plan, stands)
            if done.failures or number >= scope.means.limits.replans or not _given_up(scope, done):
                return Course(done, number)
        rest = _Rest(scope, plan, await _give_up(scope, done, number), frozenset(used))
        answer = await rest.ask(number, given)
        if not isinstance(answer, Planned):
            return await _unplanned(rest, done, number + 1, answer)
        rest.note_replaced()
        stands = rest.kept(done)
        plan, given = answer.plan, answer.given
        used |= {s.id for s in plan.subtasks}
    raise AssertionError


async def _unplanned(rest: _Rest, done: Execution | None, asked: int, answer: Stuck | Later) -> Course:
    scope, plan = rest.scope, rest.plan
    if isinstance(answer, Stuck):
        # That was the chance of another plan: from here on the first models are tried again when a person says so.
        note_rung(scope, answer, "person", ORCHESTRATOR, None)
        done = done or await execute(scope, plan)
        return Course(done, asked, why=f"no other plan: {answer.reason}" if done.stuck else "")
    # It may yet be replaced, so it is not taken up again.
    done = done or await execute(scope, plan, rest.gone)
    return Course(Execution(plan, rest.kept(done)), asked, answer)


def _name(number: int) -> str:
    return f"replan/{number}"


def _given_up(scope: Scope, done: Execution) -> list[str]:
    """Name what is stuck, and what depends on it and never began; but not what may have changed something already."""
    stuck = {i for i in done.stuck if not _may_have_written(scope, i)}
    return [
        s.id
        for s in done.plan.subtasks
        if s.id in stuck or (done.stands[s.id].state in _NOT_STARTED and stuck & done.plan.ancestors(s.id))
    ]


def _may_have_written(scope: Scope, subtask: str) -> bool:
    of_subtask = [b for b in scope.steps.begun() if isinstance(b.begin, Mapping) and b.begin.get("subtask") == subtask]
    results: list[Any] = [b.result for b in of_subtask]
    return any(result is None or result["outcome"] not in _NOT_MADE for result in results)


async def _give_up(scope: Scope, done: Execution | None, number: int) -> Mapping[str, Any]:
    async def decide() -> Worked:
        assert done is not None
        gone, model, at = _given_up(scope, done), scope.models(ORCHESTRATOR)[0], scope.means.clock.now()
        stands = {i: {"state": s.state, "reason": s.reason, "gone": i in gone} for i, s in done.stands.items()}
        stuck = [(s, done.stands[s.id]) for s in done.plan.subtasks if s.id in gone and s.id in done.stuck]
        facts = [
            RungFact(scope.run_id, stand.step, "replan", s.specialist, s.id, model, stand.reason, at)
            for s, stand in stuck
        ]
        return Worked(stands, facts)

    decided: Any = await scope.steps.step(_name(number), decide)
    return decided


@dataclass(frozen=True, slots=True)
class _Rest:
    """What another plan is asked for: how each subtask stood, and which are given up. `used` are the ids that are taken."""

    scope: Scope
    plan: Plan
    stood: Mapping[str, Any]
    used: frozenset[str]

    @property
    def gone(self) -> dict[str, Stand]:
        """How what is given up stood."""
        gone = {i: s for i, s in self.stood.items() if s["gone"]}
        return {i: Stand(State(s["state"]), reason=s["reason"]) for i, s in gone.items()}

    def kept(self, done: Execution | None) -> dict[str, Stand]:
        """How what is kept stands, as far as it was carried out in this life."""
        return {i: s for i, s in done.stands.items() if not self.stood[i]["gone"]} if done else {}

    def note_replaced(self) -> None:
        """Write down that what was given up is replaced."""
        for subtask in self.plan.subtasks:
            if (stood := self.stood[subtask.id])["gone"]:
                note(self.scope, subtask, Stand(State.REPLACED, reason=stood["reason"]))

    async def ask(self, number: int, given: int) -> Planned | Stuck | Later:
        """Ask the orchestrator; `given` plans were given before."""
        workflow, request = self.scope.workflow, self.scope.request
        message = prompt.replanning_message(
            workflow, request, {"subtasks": [self._told(s) for s in self.plan.subtasks]}
        )
        planner = Planner(self.scope, _name(number), message, prompt.REPLANNING_TOOLS, self._check, given)
        answer = await climb(self.scope, ORCHESTRATOR, None, planner.ask, rounds=False)
        assert not isinstance(answer, Clarify), "not offered"
        return answer

    def _told(self, subtask: Subtask) -> Json:
        stood = self.stood[subtask.id]
        told: dict[str, Json] = {**subtask.as_json(), "stands": "replaced" if stood["gone"] else stood["state"]}
        return {**told, "why": prompt.listed([stood["reason"]])[0]} if stood["gone"] else told

    def _check(self, given: Json) -> Checked:
        scope, kept = self.scope, [s.as_json() for s in self._kept_subtasks()]
        added = given.get("subtasks") if isinstance(given, Mapping) else None
        whole, most = given, scope.means.limits.subtasks
        # An empty list is left to be refused: it would let what nobody could do count as done.
        if isinstance(given, Mapping) and isinstance(added, list) and added:
            whole = {**given, "subtasks": [*kept, *added]}
        plan, faults = check_plan(scope.workflow, scope.request, scope.request_fields, whole, most)
        return Checked(whole, plan, [*faults, *(self._own_faults(plan) if plan and whole is not given else ())])

    def _own_faults(self, plan: Plan) -> Iterator[str]:
        new = plan.subtasks[len(self.plan.subtasks) - len(self.gone) :]
        for subtask in new:
            if subtask.id in self.used:
                yield f"subtask {subtask.id!r}: the id was used before"
        for earlier, later in repeats(self.scope.workflow, plan):
            if earlier not in new and later in new and earlier.id in plan.ancestors(later.id):
                yield f"subtask {later.id!r}: repeats subtask {earlier.id!r}, which is kept"

    def _kept_subtasks(self) -> list[Subtask]:
        gone = self.gone
        kept = [s for s in self.plan.subtasks if s.id not in gone]
        return [replace(s, needs=tuple(dict.fromkeys(self._needs(s, gone)))) for s in kept]

    def _needs(self, subtask: Subtask, gone: Collection[str]) -> Iterator[str]:
        # What went ahead of a need that is given up rests on what that one needed.
        for need in subtask.needs:
            yield from self._needs(self.plan[need], gone) if need in gone else (need,)
