from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from trimtab.core.errors import UsageError
from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, Said, ToolUse
from trimtab.core.usage import Usage
from trimtab.models.scripted import MADE_UP_USAGE, ScriptedModel, fault, says, together, uses

CALL = ModelCall("anthropic:claude-haiku-4-5", "", (Said("Hi."),), (), 100)


async def test_replies_are_played_in_order():
    model = ScriptedModel([uses("plan", subtasks=["a"]), fault("transient", "overloaded"), says("Done.")])
    assert await model.ask(CALL) == ModelAnswer(
        text="",
        calls=(ToolUse("toolu_scripted_1_1", "plan", {"subtasks": ["a"]}),),
        usage=MADE_UP_USAGE,
        model="claude-haiku-4-5",
        response_id="msg_simulated_scripted_1",
        stop_reason="tool_use",
        simulated=True,
    )
    assert await model.ask(CALL) == ModelFault("transient", "overloaded", "the script says so", simulated=True)
    last = await model.ask(CALL)
    assert isinstance(last, ModelAnswer)
    assert (last.text, last.calls, last.stop_reason) == ("Done.", (), "end_turn")
    assert last.response_id == "msg_simulated_scripted_3"
    assert model.calls == [CALL, CALL, CALL]


async def test_a_script_that_is_too_short_says_so():
    model = ScriptedModel([says("Once.")])
    await model.ask(CALL)
    with pytest.raises(UsageError, match="was asked 2 times and has 1 replies\nhint: add a reply"):
        await model.ask(CALL)


async def test_a_function_of_the_call_answers():
    def answer(call: ModelCall) -> ModelAnswer:
        return says(f"{len(call.messages)} messages")

    async def later(call: ModelCall) -> ModelAnswer:
        return answer(call)

    for script in (answer, later, [answer], [later]):
        reply = await ScriptedModel(script).ask(CALL)
        assert isinstance(reply, ModelAnswer)
        assert reply.text == "1 messages"


async def test_what_the_script_says_stays():
    said = replace(uses("tool", tool="x", kind=1), usage=Usage(input=7), model="other", response_id="mine")
    reply = await ScriptedModel([said]).ask(CALL)
    assert isinstance(reply, ModelAnswer)
    assert (reply.usage, reply.model, reply.response_id) == (Usage(input=7), "other", "mine")
    assert reply.calls == (ToolUse("toolu_scripted_1_1", "tool", {"tool": "x", "kind": 1}),)


async def test_several_answers_make_one():
    reply = await ScriptedModel([together(says("Both."), uses("a", x=1), uses("b"))]).ask(CALL)
    assert isinstance(reply, ModelAnswer)
    assert reply.text == "Both."
    assert [(use.id, use.name) for use in reply.calls] == [("toolu_scripted_1_1", "a"), ("toolu_scripted_1_2", "b")]
    assert together(says("a"), says("b")).stop_reason == "end_turn"


async def test_only_a_malformed_fault_was_paid():
    wait = timedelta(seconds=3)
    model = ScriptedModel([fault("malformed"), fault("transient", "rate_limited", "slow down", retry_after=wait)])
    paid, free = await model.ask(CALL), await model.ask(CALL)
    assert isinstance(free, ModelFault)
    assert (paid.usage, paid.model, paid.response_id) == (
        MADE_UP_USAGE,
        "claude-haiku-4-5",
        "msg_simulated_scripted_1",
    )
    assert (free.usage, free.retry_after, free.response_id) == (Usage(), wait, None)
