"""A specialist at work on one subtask: model call, tool calls, again, until there is an answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pydantic import ValidationError

from trimtab.core.messages import Answered, ModelCall, Said, ToolReturned, ToolUse
from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry
from trimtab.core.records import Fact
from trimtab.core.values import Json, digest, dumps
from trimtab.run import prompt
from trimtab.run.ask import Heard, Later, Question, Stuck
from trimtab.run.call import Call, CallOutcome, Held, Stopped, Unknown, read_outcome
from trimtab.run.ladder import Rung, climb, note
from trimtab.run.route import Assignment
from trimtab.run.scope import Scope
from trimtab.run.tool import Tool

SubtaskOutcome: TypeAlias = "Done[Json] | Handoff[Json] | Rejected | Failed | Held | Unknown | Later | Stuck"


async def work(scope: Scope, job: Assignment) -> SubtaskOutcome:
    """Do a subtask, on one model of its role after another; `Stuck` where none is of use.

    A specialist without an answer type is done when its action was carried out; one with an answer type when it has given an
    answer of that type. A wrong use of tools is shown to the model once; the turn limit ends talk that goes nowhere.
    """
    name = f"do/{job.subtask.id}"
    if wrong := _unfit(job):
        return Stuck(f"the subtask's own inputs do not fit: {'; '.join(wrong)}", "inputs", name)
    deed = _Deed()

    async def talk(rung: Rung) -> SubtaskOutcome:
        return await _Talk(scope, job, rung, rung.name(name), deed).hold()

    return await climb(scope, job.specialist.role, job.subtask.id, talk)


class _Answer(Done[Json]):
    """The typed answer."""


@dataclass(frozen=True, slots=True)
class _Wrong(Rejected):
    """The use itself was wrong; the model is told and may mend it."""

    error_class: str = "malformed"


@dataclass(slots=True)
class _Deed:
    """What came of the subtask's action, whichever model asked for it."""

    outcome: Done[Json] | Handoff[Json] | None = None


@dataclass(slots=True)
class _Talk:
    """The talk with one model over one subtask: how often it asked for what, how often wrongly, and what it has read."""

    scope: Scope
    job: Assignment
    rung: Rung
    name: str
    deed: _Deed
    asked: Counter[str] = field(default_factory=Counter[str])
    read: list[Json] = field(default_factory=list["Json"])
    refused: Rejected | None = None
    wrong: int = 0
    step: str = ""

    async def hold(self) -> SubtaskOutcome:
        """Talk until the subtask has an outcome, or the model proves to be of no use."""
        call, role = self._first_call(), self.job.specialist.role
        turns = self.scope.means.limits.turns
        for turn in range(turns):
            question = Question(self.scope, f"{self.name}/model/{turn}", role, self.job.subtask.id, self.reads)
            heard = await question.ask(call)
            if not isinstance(heard, Heard):
                return heard
            self.step = heard.step
            returned: list[ToolReturned] = []
            for position, use in enumerate(heard.calls):
                name = f"{self.name}/tool/{turn}.{position}"
                outcome = await self.use(use, heard.reads.get(str(position)), name)
                if (end := self.end(use, outcome)) is not None:
                    return end
                returned.append(_shown(use, outcome))
            call = replace(call, messages=(*heard.messages, Answered(heard.text, heard.calls), *returned))
        return self._useless(f"{role} gave no result in {turns} turns", "turns")

    def _first_call(self) -> ModelCall:
        job = self.job
        choice = self.scope.pin.roles[job.specialist.role]
        return ModelCall(
            model=self.rung.model,
            system=prompt.specialist_system(job.specialist, choice.instructions),
            messages=(Said(prompt.subtask_message(job.subtask, job.inputs)),),
            tools=prompt.specialist_tools(job.specialist, job.subtask.action),
            max_tokens=choice.max_tokens,
            effort=self.rung.effort,
            run_id=self.scope.run_id,
        )

    async def use(self, use: ToolUse, read: Json, name: str) -> CallOutcome:
        """Do what the model asks for, if it may be done."""
        job = self.job
        if use.name == prompt.ANSWER and job.specialist.answer is not None:
            return _typed(job, use.arguments)
        tool = job.specialist.tools.get(use.name)
        if tool is None or (tool.writes and tool is not job.action):
            offered = ", ".join(t.name for t in prompt.specialist_tools(job.specialist, job.subtask.action))
            return _Wrong(f"there is no tool {use.name!r} for this subtask; there are {offered}")
        if self._too_often(self.asked, use):
            return _Wrong(f"you asked {use.name!r} for this before; the answer is above", "loop")
        if faults := _faults(job, tool, use):
            return _Wrong("; ".join(faults))
        return await (self._write(tool, use, name) if tool.writes else self._read(tool, use, read, name))

    async def _write(self, tool: Tool, use: ToolUse, name: str) -> CallOutcome:
        # One subtask has one effect: a model that asks again is told what came of the first time.
        return self.deed.outcome or await Call(self.scope, self.job, tool, use, name, self.read).make()

    async def _read(self, tool: Tool, use: ToolUse, read: Json, name: str) -> CallOutcome:
        outcome = read_outcome(read) if isinstance(read, Mapping) else Retry("not read yet")
        if isinstance(outcome, Retry):
            outcome = await Call(self.scope, self.job, tool, use, name, self.read).make()
        if isinstance(outcome, Done | Handoff):
            self.read.append(outcome.value)
        return outcome

    def _too_often(self, asked: Counter[str], use: ToolUse) -> bool:
        asked[this := digest([use.name, use.arguments])] += 1
        return asked[this] > self.scope.means.limits.same_call

    def end(self, use: ToolUse, outcome: CallOutcome) -> SubtaskOutcome | None:
        """Say whether this outcome ends the subtask, and as what."""
        match outcome:
            case Failed() | Held() | Unknown() | Later() | Stopped():
                return outcome
            case _Answer(value):
                acted = self.deed.outcome
                return replace(acted, value=value) if isinstance(acted, Handoff) else Done(value)
            case _Wrong():
                return self._mended(outcome)
            case _ if use.name != self.job.subtask.action:
                pass
            case _ if self.job.specialist.answer is None:
                return outcome
            case Done() | Handoff():
                self.deed.outcome = outcome
            case Rejected():
                self.refused = outcome
        return None

    def _mended(self, wrong: _Wrong) -> Stuck | Rejected | None:
        role = self.job.specialist.role
        reason = f"{role} used its tools wrongly: {wrong.reason}"
        self.wrong += 1
        if self.wrong >= self.scope.means.limits.malformed:
            return self._useless(reason, wrong.error_class)
        stuck = Stuck(reason, wrong.error_class, self.step)
        note(self.scope, stuck, "repair", role, self.job.subtask.id, self.rung.model)
        return None

    def _useless(self, reason: str, error_class: str) -> Stuck | Rejected:
        # Who only asks again for what the world refused is not the one at fault.
        if self.refused is not None and self.deed.outcome is None and error_class in ("loop", "turns"):
            return self.refused
        return Stuck(reason, error_class, self.step)

    async def reads(self, uses: Sequence[ToolUse], step: str) -> tuple[dict[str, Json], list[Fact]]:
        """Make the reading calls of an answer, all at once and in its own step."""
        job, asked = self.job, Counter(self.asked)
        calls: dict[str, Call] = {}
        for position, use in enumerate(uses):
            tool = job.specialist.tools.get(use.name)
            if tool is None or (tool.writes and tool is not job.action) or self._too_often(asked, use):
                continue
            if _plain(tool) and not _faults(job, tool, use):
                calls[str(position)] = Call(self.scope, job, tool, use, f"{step}/read/{position}")
        made = await asyncio.gather(*(call.attempt(1, call.name) for call in calls.values()))
        results = {position: worked.result for position, worked in zip(calls, made, strict=True)}
        return results, [fact for worked in made for fact in worked.facts]


def _plain(tool: Tool) -> bool:
    # What must be asked, scanned, put off or checked is called by itself.
    gates = (tool.approval, tool.reader, tool.quiet, tool.holds)
    return not tool.writes and all(gate is None for gate in gates)


def _unfit(job: Assignment) -> list[str]:
    # The plan was checked with these inputs, so the call must carry them: no model can mend what does not fit.
    return job.action.check(job.inputs) if job.specialist.answer is None else []


def _faults(job: Assignment, tool: Tool, use: ToolUse) -> list[str]:
    faults = tool.check(use.arguments)
    if faults or tool is not job.action or job.specialist.answer is not None:
        return faults
    # A model may add what is optional, not alter what the plan was checked with.
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


def _shown(use: ToolUse, outcome: CallOutcome) -> ToolReturned:
    match outcome:
        case Done(value) | Handoff(_, value):
            return ToolReturned(use.id, use.name, prompt.untrusted("result", value))
        case Rejected(reason):
            return ToolReturned(use.id, use.name, reason, is_error=True)
        case _:
            return ToolReturned(use.id, use.name, dumps(None), is_error=True)
