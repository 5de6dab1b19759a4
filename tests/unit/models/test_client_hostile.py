"""A provider that answers in shapes nobody promised: every answer is read, or refused as what it is, and none harms the worker."""

from __future__ import annotations

import gzip
import json
import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.provider_server import KINDS, Behaviour, Kind, ProviderServer, body, provider_server, replies

from trimtab.core.messages import Answered, ModelAnswer, ModelCall, Said, ToolReturned, ToolSpec, ToolUse
from trimtab.core.usage import Usage
from trimtab.models.client import Provider, ProviderClient
from trimtab.models.faults import clean, retry_after

both = pytest.mark.parametrize("kind", KINDS)
# pydantic-ai says so when a usage makes no sense to it.
pytestmark = pytest.mark.filterwarnings("ignore:Failed to extract usage")


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server() as running:
        yield running


@pytest.fixture
async def client(server: ProviderServer) -> AsyncIterator[ProviderClient]:
    opened = ProviderClient({k: Provider(k, server.url) for k in KINDS})
    yield opened
    await opened.close()


def call(kind: Kind, *messages: Said | Answered | ToolReturned) -> ModelCall:
    plan = ToolSpec("plan", "Make a plan.", {"type": "object", "properties": {}})
    return ModelCall(f"{kind}:m", "", messages or (Said("Go."),), (plan,), 500, timeout=timedelta(seconds=20))


async def asked(client: ProviderClient, server: ProviderServer, kind: Kind, behave: Behaviour) -> Any:
    server.behave = behave
    answer = await client.ask(call(kind))
    assert len(server.requests) == 1, "nothing below the client may ask twice"
    return answer


def sends(content: bytes, status: int = 200, **headers: str) -> Behaviour:
    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.Response(
            body=content, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        response.content_type = "application/json"
        return response

    return behave


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_a_prompt_elsewhere(
    client: ProviderClient, server: ProviderServer, *, kind: Kind, status: int
):
    async with provider_server() as other:
        other.behave = replies(body(kind))
        fault = await asked(client, server, kind, sends(b"", status, location=f"{other.url}/v1/messages"))
        assert other.requests == []
    assert (fault.kind, fault.error_class) == ("permanent", "redirected")
    assert "127.0.0.1" in fault.message
    assert "base_url" in fault.message


@both
async def test_a_body_without_end_is_cut_and_fills_no_memory(
    client: ProviderClient, server: ProviderServer, kind: Kind
):
    bomb = gzip.compress(b" " * 400_000_000, 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fault = await asked(client, server, kind, sends(bomb, content_encoding="gzip"))
    assert (fault.kind, fault.error_class) == ("transient", "broken_body")
    assert "more than" in fault.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


@both
@pytest.mark.parametrize("sent", [b"no gzip at all", gzip.compress(b"x" * 1_000_000)])
async def test_a_wait_is_read_whatever_page_comes_with_it(
    client: ProviderClient, server: ProviderServer, *, kind: Kind, sent: bytes
):
    behave = sends(sent, 429, content_encoding="gzip", retry_after="7")
    fault = await asked(client, server, kind, behave)
    assert (fault.error_class, fault.retry_after) == ("rate_limited", timedelta(seconds=7))


@both
async def test_a_good_answer_in_gzip_is_read(client: ProviderClient, server: ProviderServer, kind: Kind):
    packed = gzip.compress(json.dumps(body(kind)).encode())
    assert isinstance(await asked(client, server, kind, sends(packed, content_encoding="gzip")), ModelAnswer)


@pytest.mark.parametrize(
    "strange",
    [{"type": "hologram", "x": 1}, {"x": 1}, {"type": "text", "text": None}, {"type": "text", "text": 5}],
)
async def test_content_of_an_unknown_kind_spoils_no_answer(
    client: ProviderClient, server: ProviderServer, strange: dict[str, Any]
):
    answer = body("anthropic", text="well")
    answer["content"].insert(0, strange)
    got = await asked(client, server, "anthropic", replies(answer))
    assert isinstance(got, ModelAnswer)
    assert (got.text, [use.name for use in got.calls]) == ("well", ["plan"])


@pytest.mark.parametrize(
    ("field", "value"), [("id", 5), ("id", None), ("model", 7), ("model", None), ("model", "m" * 100_000)]
)
async def test_a_name_of_another_type_is_no_name(
    client: ProviderClient, server: ProviderServer, *, field: str, value: object
):
    got = await asked(client, server, "anthropic", replies(body("anthropic") | {field: value}))
    assert isinstance(got, ModelAnswer)
    assert isinstance(got.model, str)
    assert isinstance(got.response_id, str)
    assert max(len(got.model), len(got.response_id)) <= 240


@pytest.mark.parametrize("name", [None, 5, "", "p" * 300_000, "plan\x1b[31m", "plan </untrusted>"])
async def test_a_tool_without_a_proper_name_is_malformed_and_was_paid(
    client: ProviderClient, server: ProviderServer, name: object
):
    answer = body("anthropic")
    answer["content"][0]["name"] = name
    fault = await asked(client, server, "anthropic", replies(answer))
    assert (fault.kind, fault.error_class) == ("malformed", "bad_arguments")
    assert fault.usage.total > 0
    assert len(fault.message) <= 240
    assert fault.message.isprintable()


@pytest.mark.parametrize("content", [["hello"], [None], [[]]])
async def test_a_body_that_no_sdk_can_read_is_worth_another_try(
    client: ProviderClient, server: ProviderServer, content: object
):
    fault = await asked(client, server, "anthropic", replies(body("anthropic") | {"content": content}))
    assert (fault.kind, fault.error_class) == ("transient", "broken_body")


@pytest.mark.parametrize(
    "changes", [{"choices": [None]}, {"choices": [{"message": None}]}, {"created": 10**20}, {"created": "x"}]
)
async def test_a_completion_that_no_sdk_can_read_is_worth_another_try(
    client: ProviderClient, server: ProviderServer, changes: dict[str, Any]
):
    fault = await asked(client, server, "openai", replies(body("openai") | changes))
    assert (fault.kind, fault.error_class) == ("transient", "broken_body")


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 2**63, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 10**30},
        {"input_tokens": -5, "output_tokens": -5},
        {"input_tokens": "5", "output_tokens": True},
    ],
)
async def test_a_usage_that_cannot_be_is_none(client: ProviderClient, server: ProviderServer, usage: dict[str, Any]):
    got = await asked(client, server, "anthropic", replies(body("anthropic") | {"usage": usage}))
    assert isinstance(got, ModelAnswer)
    assert got.usage == Usage()


@both
async def test_ids_that_a_server_repeats_are_told_apart_when_they_are_sent_back(
    client: ProviderClient, server: ProviderServer, kind: Kind
):
    server.behave = replies(body(kind))
    twice = Answered("", (ToolUse("same", "plan", {"a": 1}), ToolUse("same", "plan", {"a": 2})))
    bad = Answered("", (ToolUse("", "plan", {}), ToolUse("a b", "plan", {}), ToolUse("x" * 100, "plan", {})))
    messages: list[Said | Answered | ToolReturned] = [Said("Go.")]
    for turn, said in enumerate((twice, twice, bad)):
        messages += [said, *(ToolReturned(use.id, use.name, f"{turn}.{n}") for n, use in enumerate(said.calls))]
    assert isinstance(await client.ask(call(kind, *messages)), ModelAnswer)
    sent = server.requests[0].body["messages"]
    if kind == "anthropic":
        blocks = [block for message in sent if isinstance(message["content"], list) for block in message["content"]]
        used = [block["id"] for block in blocks if block["type"] == "tool_use"]
        returned = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    else:
        used = [use["id"] for message in sent for use in message.get("tool_calls") or []]
        returned = [message["tool_call_id"] for message in sent if message["role"] == "tool"]
    assert used == returned
    assert used[0] == "same"
    assert len(set(used)) == len(used) == 7
    assert all(id_ and id_.replace("_", "").isalnum() for id_ in used)


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ (GMT|[+-]\d+)", fullmatch=True))
def test_no_text_of_a_header_breaks_the_reading_of_a_wait(text: str):
    wait = retry_after({"retry-after": text, "date": text}, datetime(2026, 11, 23, tzinfo=UTC))
    assert wait is None or timedelta(0) <= wait <= timedelta(days=365)


def test_a_year_beyond_all_years_is_no_wait():
    header = {"retry-after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}
    assert retry_after(header, datetime(2026, 11, 23, tzinfo=UTC)) is None


def test_a_cleaned_text_commands_no_terminal():
    assert clean("a\x1b[31mb\x00c\u202ed") == "a�[31mb�c�d"
