"""A specialist at work on one subtask: model call, tool calls, again, until there is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pydantic import ValidationError

from trimtab.core.messages import Answered, ModelCall, Said, ToolReturned, ToolUse
from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry
from trimtab.core.records import Fact
from trimtab.core.values import Json, dumps
from trimtab.run import prompt
from trimtab.run.ask import Heard, Later, Question, Reads
from trimtab.run.call import Call, CallOutcome, Held, read_outcome
from trimtab.run.route import Assignment
from trimtab.run.scope import Scope
from trimtab.run.tool import Tool

SubtaskOutcome: TypeAlias = "Done[Json] | Handoff[Json] | Rejected | Failed | Held | Later"


async def work(scope: Scope, job: Assignment) -> SubtaskOutcome:
    """Do a subtask.

    A specialist without an answer type is done when its action was carried out; one with an answer type when it has given an
    answer of that type. A wrong use of tools is shown to the model once; the turn limit ends talk that goes nowhere.
    """
    call = _first_call(scope, job)
    limits = scope.means.limits
    talk = _Talk(scope, job)
    for turn in range(limits.turns):
        question = Question(
            scope, f"do/{job.subtask.id}/model/{turn}", job.specialist.role, job.subtask.id, _reader(scope, job)
        )
        heard = await question.ask(call)
        if not isinstance(heard, Heard):
            return heard
        returned: list[ToolReturned] = []
        for position, use in enumerate(heard.calls):
            name = f"do/{job.subtask.id}/tool/{turn}.{position}"
            outcome = await talk.use(use, heard.reads.get(str(position)), name)
            if (end := talk.end(use, outcome)) is not None:
                return end
            returned.append(_shown(use, outcome))
        call = replace(call, messages=(*heard.messages, Answered(heard.text, heard.calls), *returned))
    return Failed(f"{job.specialist.role} gave no result in {limits.turns} turns", "turns")


def _first_call(scope: Scope, job: Assignment) -> ModelCall:
    choice = scope.pin.roles[job.specialist.role]
    return ModelCall(
        model=choice.model,
        system=prompt.specialist_system(job.specialist),
        messages=(Said(prompt.subtask_message(job.subtask, job.inputs)),),
        tools=prompt.specialist_tools(job.specialist, job.subtask.action),
        max_tokens=choice.max_tokens,
        effort=choice.effort,
        run_id=scope.run_id,
    )


class _Answer(Done[Json]):
    """The typed answer."""


class _Wrong(Rejected):
    """The use itself was wrong; the model is told and may mend it."""


@dataclass(slots=True)
class _Talk:
    """What came of the tool uses of one subtask so far."""

    scope: Scope
    job: Assignment
    acted: Done[Json] | Handoff[Json] | None = None
    wrong: int = 0

    async def use(self, use: ToolUse, read: Json, name: str) -> CallOutcome:
        job = self.job
        if use.name == prompt.ANSWER and job.specialist.answer is not None:
            return _typed(job, use.arguments)
        tool = job.specialist.tools.get(use.name)
        if tool is None or (tool.writes and tool is not job.action):
            offered = ", ".join(t.name for t in prompt.specialist_tools(job.specialist, job.subtask.action))
            return _Wrong(f"there is no tool {use.name!r} for this subtask; there are {offered}")
        if faults := _faults(job, tool, use):
            return _Wrong("; ".join(faults))
        if tool.writes and self.acted is not None:
            # One subtask has one effect: a model that asks again is told what came of the first time.
            return self.acted
        if isinstance(read, Mapping) and not isinstance(outcome := read_outcome(read), Retry):
            return outcome
        return await Call(self.scope, job, tool, use, name).make()

    def end(self, use: ToolUse, outcome: CallOutcome) -> SubtaskOutcome | None:
        """Say whether this outcome ends the subtask, and as what."""
        match outcome:
            case Failed() | Held() | Later():
                return outcome
            case _Answer(value):
                return replace(self.acted, value=value) if isinstance(self.acted, Handoff) else Done(value)
            case _Wrong(reason):
                self.wrong += 1
                if self.wrong >= self.scope.means.limits.malformed:
                    return Failed(f"{self.job.specialist.role} used its tools wrongly: {reason}", "malformed")
            case _ if use.name != self.job.subtask.action:
                pass
            case _ if self.job.specialist.answer is None:
                return outcome
            case Done() | Handoff():
                self.acted = outcome
            case Rejected():
                pass
        return None


def _faults(job: Assignment, tool: Tool, use: ToolUse) -> list[str]:
    faults = tool.check(use.arguments)
    if faults or tool is not job.action or job.specialist.answer is not None:
        return faults
    # The plan was checked with these inputs, so the call must carry them: a model may add what is optional, not alter.
    if wrong := tool.check(job.inputs):
        return [f"the subtask's own inputs do not fit: {'; '.join(wrong)}"]
    bound, given = tool.read(job.inputs), tool.read(use.arguments)
    return [f"{key!r} must be the subtask's input, as it is" for key, value in bound.items() if given.get(key) != value]


def _typed(job: Assignment, arguments: Json) -> _Answer | _Wrong:
    kind = job.specialist.answer
    assert kind is not None
    wrapped = kind.json_schema().get("type") != "object"
    value = arguments.get("value") if wrapped and isinstance(arguments, Mapping) else arguments
    try:
        return _Answer(kind.dump_python(kind.validate_python(value), mode="json", by_alias=True))
    except ValidationError as error:
        return _Wrong("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)))


def _reader(scope: Scope, job: Assignment) -> Reads:
    async def reads(uses: Sequence[ToolUse], step: str) -> tuple[dict[str, Json], list[Fact]]:
        calls: dict[str, Call] = {}
        for position, use in enumerate(uses):
            tool = job.specialist.tools.get(use.name)
            if tool is not None and not tool.writes and tool.approval is None and not _faults(job, tool, use):
                calls[str(position)] = Call(scope, job, tool, use, f"{step}/read/{position}")
        made = await asyncio.gather(*(call.attempt(1, call.name) for call in calls.values()))
        results = {position: worked.result for position, worked in zip(calls, made, strict=True)}
        return results, [fact for worked in made for fact in worked.facts]

    return reads


def _shown(use: ToolUse, outcome: CallOutcome) -> ToolReturned:
    match outcome:
        case Done(value) | Handoff(_, value):
            return ToolReturned(use.id, use.name, prompt.untrusted("result", value))
        case Rejected(reason):
            return ToolReturned(use.id, use.name, reason, is_error=True)
        case _:
            return ToolReturned(use.id, use.name, dumps(None), is_error=True)
