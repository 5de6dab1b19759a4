from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.provider_server import KINDS, Kind, ProviderServer, body, never_answers, provider_server, replies

from trimtab.core.errors import UsageError
from trimtab.core.messages import Answered, ModelAnswer, ModelCall, ModelFault, Said, ToolReturned, ToolSpec, ToolUse
from trimtab.core.usage import Usage
from trimtab.models.client import Provider, ProviderClient

SCHEMA = {"type": "object", "properties": {"subtasks": {"type": "array", "items": {"type": "string"}}}}
CALL = ModelCall(
    model="anthropic:claude-haiku-4-5",
    system="You plan.",
    messages=(Said("Book a boat."),),
    tools=(ToolSpec("plan", "Make a plan.", SCHEMA),),
    max_tokens=500,
    run_id="run_7",
)
TALK = replace(
    CALL,
    messages=(
        Said("Book a boat."),
        Answered("I look.", (ToolUse("id_1", "plan", {"subtasks": []}),)),
        Said("Hurry."),
        ToolReturned("id_1", "plan", "no such boat", is_error=True),
    ),
)


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server() as running:
        yield running


@pytest.fixture
async def client(server: ProviderServer) -> AsyncIterator[ProviderClient]:
    opened = ProviderClient(
        {"anthropic": Provider("anthropic", server.url), "openai": Provider("openai", f"{server.url}/v1")}
    )
    yield opened
    await opened.close()


def to(kind: Kind, call: ModelCall = CALL, **changes: Any) -> ModelCall:
    return replace(call, model={"anthropic": "anthropic:claude-haiku-4-5", "openai": "openai:tiny"}[kind], **changes)


async def test_an_answer_of_anthropic_is_read_whole(client: ProviderClient, server: ProviderServer):
    server.behave = replies(body("anthropic", text="Here."))
    assert await client.ask(CALL) == ModelAnswer(
        text="Here.",
        calls=(ToolUse("toolu_1", "plan", {"subtasks": ["a"]}),),
        usage=Usage(input=100, output=50, cache_read=2000, cache_write_5m=600, cache_write_1h=400),
        model="claude-haiku-4-5-20251001",
        response_id="msg_0001",
        stop_reason="tool_use",
    )


async def test_an_answer_of_an_openai_compatible_server_is_read_whole(client: ProviderClient, server: ProviderServer):
    server.behave = replies(body("openai", text="Here."))
    assert await client.ask(to("openai")) == ModelAnswer(
        text="Here.",
        calls=(ToolUse("call_1", "plan", {"subtasks": ["a"]}),),
        usage=Usage(input=100, output=50, cache_read=30),
        model="tiny-7b",
        response_id="chatcmpl-1",
        stop_reason="tool_calls",
    )


async def test_anthropic_is_asked_by_the_json_path_with_all_the_call_says(
    client: ProviderClient, server: ProviderServer
):
    server.behave = replies(body("anthropic"))
    await client.ask(TALK)
    assert server.requests[0].body == {
        "model": "claude-haiku-4-5",
        "max_tokens": 500,
        "stream": False,
        "system": "You plan.",
        "metadata": {"user_id": "run_7"},
        "tool_choice": {"type": "any"},
        "tools": [{"name": "plan", "description": "Make a plan.", "input_schema": SCHEMA}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Book a boat."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "id_1", "name": "plan", "input": {"subtasks": []}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "id_1",
                        "content": [{"type": "text", "text": "no such boat"}],
                        "is_error": True,
                    },
                    {"type": "text", "text": "Hurry."},
                ],
            },
        ],
    }


async def test_an_openai_compatible_server_is_asked_with_all_the_call_says(
    client: ProviderClient, server: ProviderServer
):
    server.behave = replies(body("openai"))
    await client.ask(to("openai", TALK, effort="low"))
    function = {"name": "plan", "arguments": '{"subtasks":[]}'}
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body == {
        "model": "tiny",
        "max_tokens": 500,
        "stream": False,
        "reasoning_effort": "low",
        "tool_choice": "required",
        "tools": [
            {"type": "function", "function": {"name": "plan", "description": "Make a plan.", "parameters": SCHEMA}}
        ],
        "messages": [
            {"role": "system", "content": "You plan."},
            {"role": "user", "content": "Book a boat."},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [{"id": "id_1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "id_1", "content": '{"error":"no such boat"}'},
            {"role": "user", "content": "Hurry."},
        ],
    }


@pytest.mark.parametrize(
    ("model", "effort", "forced"),
    [
        ("claude-haiku-4-5", None, "any"),
        ("claude-sonnet-4-6", "high", "any"),
        ("claude-haiku-5-5", "high", "any"),
        ("claude-sonnet-5-5", "high", "auto"),
    ],
)
async def test_effort_and_forced_tools_are_sent_where_the_model_takes_them(
    client: ProviderClient, server: ProviderServer, model: str, effort: str | None, forced: str
):
    server.behave = replies(body("anthropic"))
    assert isinstance(await client.ask(replace(CALL, model=f"anthropic:{model}", effort="high")), ModelAnswer)
    sent = server.requests[0].body
    assert (sent.get("output_config", {}).get("effort"), sent["tool_choice"]["type"]) == (effort, forced)


@pytest.mark.parametrize("kind", KINDS)
async def test_plain_text_is_an_answer_where_no_tool_is_demanded(
    client: ProviderClient, server: ProviderServer, kind: Kind
):
    server.behave = replies(body(kind, tool=False, text="Hello."))
    answer = await client.ask(to(kind, must_use_tool=False))
    assert isinstance(answer, ModelAnswer)
    assert (answer.text, answer.calls) == ("Hello.", ())
    assert server.requests[0].body["tool_choice"] in ("auto", {"type": "auto"})


@pytest.mark.parametrize("max_tokens", [500, 64_000])
async def test_a_large_limit_does_not_turn_the_call_into_a_stream(
    client: ProviderClient, server: ProviderServer, max_tokens: int
):
    server.behave = replies(body("anthropic"))
    await client.ask(replace(CALL, max_tokens=max_tokens))
    assert (server.requests[0].body["stream"], server.requests[0].body["max_tokens"]) == (False, max_tokens)


async def test_a_simulated_answer_is_marked(client: ProviderClient, server: ProviderServer):
    server.behave = replies(body("anthropic", id="msg_simulated_1"))
    assert (await client.ask(CALL)).simulated
    server.behave = replies(body("anthropic", tool=False, text="Hm.", id="msg_simulated_2"))
    assert (await client.ask(CALL)).simulated


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unknown_tool_is_left_to_the_run(client: ProviderClient, server: ProviderServer, kind: Kind):
    server.behave = replies(body(kind))
    answer = await client.ask(to(kind, tools=(ToolSpec("other", "Another.", SCHEMA),)))
    assert isinstance(answer, ModelAnswer)
    assert answer.calls[0].name == "plan"


async def test_connections_are_reused_and_closing_is_not_the_end(client: ProviderClient, server: ProviderServer):
    server.behave = replies(body("anthropic"))
    await client.ask(CALL)
    await client.ask(replace(CALL, model="anthropic:claude-sonnet-4-6"))
    await client.close()
    await client.close()
    assert isinstance(await client.ask(CALL), ModelAnswer)
    first, second, after_closing = (seen.connection for seen in server.requests)
    assert first == second != after_closing


async def test_cancelling_passes_through(client: ProviderClient, server: ProviderServer):
    server.behave = never_answers
    asking = asyncio.create_task(client.ask(CALL))
    await server.arrived.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_many_calls_at_once_get_their_own_answers(client: ProviderClient, server: ProviderServer):
    server.behave = replies(body("openai"))
    answers = await asyncio.gather(*(client.ask(to("openai")) for _ in range(50)))
    assert all(isinstance(answer, ModelAnswer) for answer in answers)
    assert len(server.requests) == 50


async def test_a_key_is_read_when_needed_and_a_missing_one_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert await ProviderClient().ask(CALL) == ModelFault(
        "permanent",
        "no_key",
        "'anthropic:claude-haiku-4-5': there is no key for https://api.anthropic.com\nhint: set ANTHROPIC_API_KEY",
    )
    far = ProviderClient({"far": Provider("openai", "https://models.example/v1")})
    fault = await far.ask(replace(CALL, model="far:big"))
    assert isinstance(fault, ModelFault)
    assert fault.message.endswith("https://models.example/v1\nhint: name the variable that holds it in key_env")


async def test_a_key_goes_only_where_it_was_meant_to_go(server: ProviderServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-real-one")
    monkeypatch.setenv("LOCAL_KEY", " sk-the-local-one\n")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.behave = replies(body("openai"))
    for key_env, sent in (("", "Bearer no-key"), ("LOCAL_KEY", "Bearer sk-the-local-one")):
        client = ProviderClient({"local": Provider("openai", f"{server.url}/v1", key_env)})
        assert isinstance(await client.ask(replace(CALL, model="local:tiny")), ModelAnswer)
        assert server.requests[-1].headers["Authorization"] == sent
        await client.close()


async def test_what_cannot_be_asked_is_a_permanent_fault_and_no_request(client: ProviderClient, server: ProviderServer):
    unknown = await client.ask(replace(CALL, model="nobody:x"))
    toolless = await client.ask(replace(CALL, tools=()))
    assert isinstance(unknown, ModelFault)
    assert isinstance(toolless, ModelFault)
    assert (unknown.kind, unknown.error_class) == ("permanent", "unknown_provider")
    assert unknown.message == "'nobody:x': no provider 'nobody', there are anthropic, openai"
    assert (toolless.kind, toolless.error_class) == ("permanent", "no_tools")
    assert server.requests == []


async def test_preparing_sends_nothing_and_says_what_is_missing(
    client: ProviderClient, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
):
    assert client.prepare("anthropic:claude-haiku-4-5") is None
    assert client.prepare("openai:tiny") is None
    assert server.requests == []
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    missing = ProviderClient().prepare("anthropic:claude-haiku-4-5")
    assert missing is not None
    assert missing.error_class == "no_key"


async def test_a_missing_sdk_says_what_to_install(client: ProviderClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    fault = await client.ask(to("openai"))
    assert isinstance(fault, ModelFault)
    assert fault.message == (
        "'openai:tiny': the package 'openai' is not installed\nhint: pip install 'pydantic-ai-slim[openai]'"
    )


async def test_a_client_that_cannot_be_opened_is_a_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://proxy")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-something")
    fault = await ProviderClient().ask(CALL)
    assert isinstance(fault, ModelFault)
    assert (fault.kind, fault.error_class) == ("permanent", "ValueError")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "localhost:8080/v1", "ftp://host/v1", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str):
    with pytest.raises(UsageError, match="is not an address"):
        Provider("openai", url)


@pytest.mark.parametrize("url", ["https://me:secret@host/v1", "https://host/v1?key=secret"])
def test_an_address_with_a_secret_in_it_is_refused_without_telling_it(url: str):
    with pytest.raises(UsageError) as refused:
        Provider("openai", url)
    assert "secret" not in str(refused.value)


def test_importing_the_client_imports_no_sdk():
    code = (
        "import sys, trimtab.models.client, trimtab.models.catalogue, trimtab.models.scripted;"
        "print(*sorted({'pydantic_ai', 'anthropic', 'openai', 'genai_prices', 'httpx2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == ""
