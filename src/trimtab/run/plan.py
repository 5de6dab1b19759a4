"""From a request to a checked plan: ask the orchestrator, name every fault, ask again at most twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from trimtab.core.messages import Answered, Message, ModelCall, Said, ToolReturned, ToolSpec
from trimtab.core.pin import ORCHESTRATOR
from trimtab.core.plan import REQUEST, Plan, Subtask, find_references, strings
from trimtab.core.records import PlanFact
from trimtab.core.values import Json, digest
from trimtab.run import prompt
from trimtab.run.ask import Heard, Later, Question, Stuck
from trimtab.run.ladder import Rung, climb, note
from trimtab.run.scope import Scope
from trimtab.run.workflow import Workflow

_ID = re.compile(r"[A-Za-z_][\w-]{0,63}")
_DEEPEST = 32
_MORE_THAN_ONE = "the answer holds more than one plan; give one plan with every subtask in it"
_KINDS: Mapping[str, tuple[type, str]] = {
    "id": (str, "a string"),
    "specialist": (str, "a string"),
    "action": (str, "a string"),
    "instruction": (str, "a string"),
    "inputs": (dict, "an object"),
    "needs": (list, "a list of subtask ids"),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan without faults, whether it was the very first one given, and how many the run was given so far."""

    plan: Plan
    first: bool
    given: int = 1


@dataclass(frozen=True, slots=True)
class Clarify:
    """The orchestrator cannot plan before these are answered."""

    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A whole plan as JSON, read (None: it cannot be), with every fault found in it."""

    whole: Json
    plan: Plan | None
    faults: list[str]


PlanOutcome: TypeAlias = Planned | Clarify | Stuck | Later


async def make_plan(scope: Scope) -> PlanOutcome:
    """Ask for a plan until one has no faults; `Stuck("...", "PlanError")` where no model gave one after all corrections."""

    def check(given: Json) -> Checked:
        most = scope.means.limits.subtasks
        return Checked(given, *check_plan(scope.workflow, scope.request, scope.request_fields, given, most))

    planner = Planner(
        scope, "plan", prompt.request_message(scope.workflow, scope.request), prompt.PLANNING_TOOLS, check
    )
    return await climb(scope, ORCHESTRATOR, None, planner.ask)


@dataclass(slots=True)
class Planner:
    """Asks the orchestrator. `name` names its steps; `given` counts the plans that the run was given so far."""

    scope: Scope
    name: str
    message: str
    tools: tuple[ToolSpec, ...]
    check: Callable[[Json], Checked]
    given: int = 0

    async def ask(self, rung: Rung) -> PlanOutcome:
        """Ask one model until it gives a plan without faults, which it is shown; `Stuck` after the allowed corrections."""
        scope, name = self.scope, rung.name(self.name)
        call = self._first_call(rung)
        stuck: Stuck | None = None
        for number in range(scope.means.limits.plan_corrections + 1):
            if stuck is not None:
                note(scope, stuck, "repair", ORCHESTRATOR, None, rung.model)
            heard = await Question(scope, f"{name}/{number}", ORCHESTRATOR).ask(call)
            if not isinstance(heard, Heard):
                return heard
            used = heard.calls[0]
            offered = {tool.name for tool in self.tools}
            if used.name == prompt.CLARIFY and used.name in offered and (questions := _questions(used.arguments)):
                return Clarify(questions)
            checked = self.check(used.arguments)
            if any((other.name, other.arguments) != (used.name, used.arguments) for other in heard.calls):
                # Which of them was meant, or whether each is a part, nobody can say: taking one would drop the others silently.
                checked = replace(checked, faults=[*checked.faults, _MORE_THAN_ONE])
            scope.steps.record(
                PlanFact(scope.run_id, self.given, checked.whole, checked.faults, scope.means.clock.now())
            )
            self.given += 1
            if checked.plan is not None and not checked.faults:
                return Planned(checked.plan, rung.first and number == 0, self.given)
            faults = prompt.listed(checked.faults)
            # A person is told the first; every one is in the journal, with the plan.
            reason = f"no plan without faults; the last one: {'; '.join(prompt.listed(checked.faults, 3))}"
            stuck = Stuck(reason, "PlanError", heard.step)
            call = replace(call, messages=_corrected(heard, faults, scope.means.limits.subtasks))
        assert stuck is not None
        return stuck

    def _first_call(self, rung: Rung) -> ModelCall:
        return ModelCall(
            model=rung.model,
            system=prompt.orchestrator_system(self.scope.workflow, self.scope.pin.roles[ORCHESTRATOR].instructions),
            messages=(Said(self.message),),
            tools=self.tools,
            max_tokens=self.scope.pin.roles[ORCHESTRATOR].max_tokens,
            effort=rung.effort,
            run_id=self.scope.run_id,
        )


def _corrected(heard: Heard, faults: list[str], most: int) -> tuple[Message, ...]:
    numbered = "\n".join(f"{n}. {fault}" for n, fault in enumerate(faults, 1))
    said = f"The plan was refused; nothing was done. Its faults:\n{numbered}\nGive it again, whole, without them."
    answers = [ToolReturned(use.id, use.name, said, is_error=True) for use in heard.calls]
    calls = tuple(replace(use, arguments=_echoed(use.arguments, most)) for use in heard.calls)
    return (*heard.messages, Answered(heard.text, calls), *answers)


def _echoed(given: Json, most: int) -> Json:
    # What was too long to be read is not paid for again with every correction.
    listed = given.get("subtasks") if isinstance(given, Mapping) else None
    return {"subtasks": listed[:most]} if isinstance(listed, list) and len(listed) > most else given


def _questions(arguments: Json) -> tuple[str, ...]:
    asked = arguments.get("questions") if isinstance(arguments, Mapping) else None
    return tuple(q for q in asked if isinstance(q, str) and q) if isinstance(asked, list) else ()


def check_plan(
    workflow: Workflow[Any, Any], request: object, request_fields: Mapping[str, Json], given: Json, most: int = 60
) -> tuple[Plan | None, list[str]]:
    """Read and check what an orchestrator gave, before any specialist is called; every fault is named.

    The plan is None where it cannot even be read. The workflow's own `faults` are asked only about a plan whose form is right.
    """
    plan, faults = _read(given, most)
    if plan is None:
        return None, faults
    faults += _structure(plan)
    declared = _Declared(workflow, plan, request_fields)
    faults += [fault for subtask in plan.subtasks for fault in declared.faults(subtask)]
    faults += [
        f"subtask {later.id!r}: repeats subtask {earlier.id!r}, and neither needs the other"
        for earlier, later in repeats(workflow, plan)
        if not {earlier.id, later.id} & (plan.ancestors(earlier.id) | plan.ancestors(later.id))
    ]
    if not faults:
        faults += workflow.faults(request, plan)
    return plan, faults


def _read(given: Json, most: int) -> tuple[Plan | None, list[str]]:
    listed = given.get("subtasks") if isinstance(given, Mapping) else None
    if not isinstance(listed, list) or not isinstance(given, Mapping):
        return None, ["a plan is an object with a list `subtasks`"]
    faults = [f"unknown key {key!r} beside `subtasks`" for key in given if key != "subtasks"]
    if not listed:
        return None, [*faults, "the plan has no subtasks"]
    if len(listed) > most:
        return None, [*faults, f"the plan has {len(listed)} subtasks, {most} are allowed"]
    subtasks: list[Subtask] = []
    for position, item in enumerate(listed):
        subtask, wrong = _read_subtask(position, item)
        faults += wrong
        subtasks += [subtask] if subtask else []
    return Plan(tuple(subtasks)), faults


def _read_subtask(position: int, item: Json) -> tuple[Subtask | None, list[str]]:
    where = f"subtask number {position + 1}"
    if not isinstance(item, Mapping):
        return None, [f"{where} is not an object"]
    if isinstance(item.get("id"), str):
        where = f"subtask {item['id']!r}"
    faults = [f"{where}: unknown key {key!r}" for key in item if key not in _KINDS]
    for key, (kind, expected) in _KINDS.items():
        if key not in item:
            faults += [] if key in ("instruction", "inputs", "needs") else [f"{where}: {key!r} is missing"]
        elif not isinstance(item[key], kind):
            faults.append(f"{where}: {key!r} must be {expected}")
    given = item.get("id")
    if isinstance(given, str) and (not _ID.fullmatch(given) or given == REQUEST):
        faults.append(f"{where}: an id is a name of letters, digits, _ and -, and not {REQUEST!r}")
    needs: object = item.get("needs")
    needs = cast("list[object]", needs) if isinstance(needs, list) else []
    if not all(isinstance(n, str) for n in needs):
        faults.append(f"{where}: 'needs' must be {_KINDS['needs'][1]}")
    # What can be read goes on, so that its other faults are named in the same answer.
    parts: dict[str, Any] = {key: item[key] for key, (kind, _) in _KINDS.items() if isinstance(item.get(key), kind)}
    parts["needs"] = tuple(n for n in needs if isinstance(n, str))
    if _deeper(parts.get("inputs"), _DEEPEST):
        faults.append(f"{where}: 'inputs' is nested deeper than {_DEEPEST} levels")
        del parts["inputs"]
    readable = {"id", "specialist", "action"} <= parts.keys()
    return (Subtask(**parts) if readable else None), faults


def _deeper(value: object, levels: int) -> bool:
    # Not by recursion: a model can nest deeper than Python can call.
    layer = [value]
    while layer and levels >= 0:
        lists = [inner for v in layer if isinstance(v, list) for inner in cast("list[object]", v)]
        layer = lists + [inner for v in layer if isinstance(v, dict) for inner in cast("dict[str, object]", v).values()]
        levels -= 1
    return bool(layer)


def _structure(plan: Plan) -> list[str]:
    ids = [s.id for s in plan.subtasks]
    faults = [f"subtask {i!r}: the id is used {ids.count(i)} times" for i in dict.fromkeys(ids) if ids.count(i) > 1]
    for subtask in plan.subtasks:
        faults += [f"subtask {subtask.id!r}: needs {n!r}, which is no subtask" for n in subtask.needs if n not in ids]
        if subtask.id in plan.ancestors(subtask.id):
            faults.append(f"subtask {subtask.id!r}: its needs lead back to itself")
    return faults


def repeats(workflow: Workflow[Any, Any], plan: Plan) -> Iterator[tuple[Subtask, Subtask]]:
    """Every two subtasks of a plan that would change the same in the same way, in plan order."""
    seen: dict[str, list[Subtask]] = {}
    for subtask in plan.subtasks:
        specialist = workflow.specialists.get(subtask.specialist)
        action = specialist.tools.get(subtask.action) if specialist else None
        if action is not None and action.writes:
            alike = seen.setdefault(digest([subtask.call, subtask.inputs]), [])
            yield from ((earlier, subtask) for earlier in alike if earlier.id != subtask.id)
            alike.append(subtask)


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a plan is held against."""

    workflow: Workflow[Any, Any]
    plan: Plan
    request_fields: Mapping[str, Json]

    def faults(self, subtask: Subtask) -> list[str]:
        where = f"subtask {subtask.id!r}"
        specialist = self.workflow.specialists.get(subtask.specialist)
        faults = self._references(subtask, specialist.sees if specialist else None)
        if specialist is None:
            known = ", ".join(sorted(self.workflow.specialists))
            return [f"{where}: no specialist {subtask.specialist!r}; there are {known}", *faults]
        action = specialist.tools.get(subtask.action)
        if action is None:
            known = ", ".join(sorted(specialist.tools))
            return [f"{where}: {subtask.specialist!r} has no action {subtask.action!r}; it has {known}", *faults]
        if specialist.answer is None:
            literal = {key for key, value in subtask.inputs.items() if not any(find_references(value))}
            faults += [f"{where}: {fault}" for fault in action.check_inputs(subtask.inputs, literal)]
        return faults

    def _references(self, subtask: Subtask, sees: frozenset[str] | None) -> list[str]:
        ancestors = self.plan.ancestors(subtask.id)
        bare = {f"${s.id}" for s in self.plan.subtasks}.intersection(strings(subtask.inputs))
        wrong = [
            f"subtask {subtask.id!r}: {text!r} names a subtask and no field of its result" for text in sorted(bare)
        ]
        for pointer in dict.fromkeys(subtask.references()):
            if pointer.subtask != REQUEST and pointer.subtask not in ancestors:
                why = "names no subtask among its needs"
            elif sees is not None and not sees.issuperset(pointer.path):
                why = f"names a field that {subtask.specialist} may not see"
            else:
                known = self._fields(pointer.subtask)
                why = (
                    ""
                    if known is None or pointer.field in known
                    else f"names no field there ({', '.join(sorted(known))})"
                )
            wrong += [f"subtask {subtask.id!r}: {str(pointer)!r} {why}"] if why else []
        return wrong

    def _fields(self, subtask_id: str) -> Collection[str] | None:
        # None where it cannot be known: an answer type of another shape, or a subtask that has faults of its own.
        if subtask_id == REQUEST:
            return self.request_fields
        source = self.plan[subtask_id]
        specialist = self.workflow.specialists.get(source.specialist)
        if specialist is None or source.action not in specialist.tools:
            return None
        return specialist.tools[source.action].result_fields if specialist.answer is None else specialist.answer_fields
