"""Against any OpenAI-compatible server, such as llama.cpp or vLLM.

TRIMTAB_TEST_OPENAI_BASE_URL=http://127.0.0.1:8080/v1 TRIMTAB_TEST_OPENAI_MODEL=qwen3-4b pytest tests/integration
A server that wants a key takes it from TRIMTAB_TEST_OPENAI_KEY.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from trimtab.core.messages import Answered, ModelAnswer, ModelCall, ModelFault, Said, ToolReturned, ToolSpec
from trimtab.models.client import Provider, ProviderClient

BASE_URL = os.environ.get("TRIMTAB_TEST_OPENAI_BASE_URL", "")
MODEL = os.environ.get("TRIMTAB_TEST_OPENAI_MODEL", "")
pytestmark = pytest.mark.skipif(
    not (BASE_URL and MODEL),
    reason="set TRIMTAB_TEST_OPENAI_BASE_URL and TRIMTAB_TEST_OPENAI_MODEL to test against a real server",
)

SUBTASK = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "role": {"type": "string", "enum": ["search", "payment"]},
        "instruction": {"type": "string"},
        "needs": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id", "role", "instruction", "needs"],
}
PLAN = ToolSpec(
    "plan",
    "Break the request into subtasks for the specialists.",
    {"type": "object", "properties": {"subtasks": {"type": "array", "items": SUBTASK}}, "required": ["subtasks"]},
)
CALL = ModelCall(
    model=f"server:{MODEL}",
    system="You plan boat bookings. Use the tool plan. Search first, then pay; payment needs the search.",
    messages=(Said("Book a boat in Split for four people, at most 900 euros."),),
    tools=(PLAN,),
    max_tokens=2000,
    timeout=timedelta(minutes=5),
)


@pytest.fixture
async def client() -> AsyncIterator[ProviderClient]:
    opened = ProviderClient({"server": Provider("openai", BASE_URL, "TRIMTAB_TEST_OPENAI_KEY")})
    yield opened
    await opened.close()


async def test_a_plan_comes_back_as_a_strict_json_object(client: ProviderClient):
    answer = await client.ask(CALL)
    assert isinstance(answer, ModelAnswer), answer
    use = answer.calls[0]
    assert use.name == "plan"
    assert isinstance(use.arguments, dict)
    assert json.loads(json.dumps(use.arguments, allow_nan=False)) == use.arguments
    assert isinstance(use.arguments["subtasks"], list)
    assert answer.usage.prompt > 0
    assert answer.usage.output > 0
    assert answer.model
    assert not answer.simulated


async def test_the_conversation_goes_on_after_a_tool_result(client: ProviderClient):
    first = await client.ask(CALL)
    assert isinstance(first, ModelAnswer), first
    results = tuple(ToolReturned(use.id, use.name, "The plan is accepted.") for use in first.calls)
    talk = (*CALL.messages, Answered(first.text, first.calls), *results, Said("Say in a few words that you are done."))
    answer = await client.ask(replace(CALL, messages=talk, must_use_tool=False))
    assert isinstance(answer, ModelAnswer), answer


async def test_an_answer_without_room_is_cut_off_and_paid(client: ProviderClient):
    fault = await client.ask(replace(CALL, max_tokens=3))
    assert isinstance(fault, ModelFault)
    assert (fault.kind, fault.error_class) == ("malformed", "cut_off")
    assert fault.usage.output > 0
