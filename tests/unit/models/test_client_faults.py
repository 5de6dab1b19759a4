from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.fakes.provider_server import (
    KINDS,
    Behaviour,
    Kind,
    ProviderServer,
    body,
    cuts_short,
    drops,
    never_answers,
    provider_server,
    replies,
    sends_a_page,
    trickles,
)

from trimtab.core.messages import ModelAnswer, ModelCall, ModelFault, Said, ToolSpec
from trimtab.core.usage import Usage
from trimtab.models.client import Provider, ProviderClient
from trimtab.models.faults import clean, retry_after

KEY = "sk-ant-api03-Zm9vYmFyYmF6cXV4-AA"
MODEL: dict[Kind, str] = {"anthropic": "anthropic:claude-haiku-4-5", "openai": "local:tiny"}
USAGE: dict[Kind, Usage] = {
    "anthropic": Usage(input=100, output=50, cache_read=2000, cache_write_5m=600, cache_write_1h=400),
    "openai": Usage(input=100, output=50, cache_read=30),
}
both = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server() as running:
        yield running


@pytest.fixture
async def client(server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderClient]:
    monkeypatch.setenv("TEST_KEY", KEY)
    opened = ProviderClient(
        {
            "anthropic": Provider("anthropic", server.url, "TEST_KEY"),
            "local": Provider("openai", f"{server.url}/v1", "TEST_KEY"),
        }
    )
    yield opened
    await opened.close()


def call(kind: Kind, **changes: Any) -> ModelCall:
    plan = ToolSpec("plan", "Make a plan.", {"type": "object", "properties": {}})
    whole = ModelCall(MODEL[kind], "", (Said("Book a boat."),), (plan,), 500, timeout=timedelta(seconds=5))
    return replace(whole, **changes)


def error(text: str, error_type: str = "some_error") -> dict[str, Any]:
    return {"type": "error", "error": {"type": error_type, "message": text}}


async def faulted(client: ProviderClient, server: ProviderServer, asked: ModelCall, behave: Behaviour) -> ModelFault:
    server.behave = behave
    fault = await client.ask(asked)
    assert isinstance(fault, ModelFault)
    assert len(server.requests) == 1, "nothing below the client may ask twice"
    return fault


@both
@pytest.mark.parametrize(
    ("status", "kind_of_fault", "error_class"),
    [
        (400, "permanent", "bad_request"),
        (401, "permanent", "unauthenticated"),
        (402, "permanent", "quota"),
        (403, "permanent", "forbidden"),
        (404, "permanent", "not_found"),
        (408, "transient", "timeout"),
        (409, "transient", "conflict"),
        (413, "permanent", "too_large"),
        (422, "permanent", "rejected"),
        (429, "transient", "rate_limited"),
        (500, "transient", "server_error"),
        (503, "transient", "server_error"),
        (529, "transient", "overloaded"),
    ],
)
async def test_a_status_is_classed_after_one_request(
    client: ProviderClient, server: ProviderServer, *, kind: Kind, status: int, kind_of_fault: str, error_class: str
):
    fault = await faulted(client, server, call(kind), replies(error("Not today."), status))
    name = MODEL[kind].partition(":")[0]
    path = "" if kind == "anthropic" else "/v1"
    assert fault == ModelFault(
        kind_of_fault,  # pyright: ignore[reportArgumentType]
        error_class,
        f"{name} at {server.url}{path} answered {status}: Not today.",
    )


@both
async def test_a_page_of_a_gateway_is_a_server_error(client: ProviderClient, server: ProviderServer, kind: Kind):
    page = "<html>\n<body>" + "bad gateway " * 100 + "</body></html>"
    fault = await faulted(client, server, call(kind), replies(page, 502))
    assert (fault.kind, fault.error_class) == ("transient", "server_error")
    assert len(fault.message) <= 240
    assert "\n" not in fault.message


@both
@pytest.mark.parametrize(
    ("behave", "error_class"),
    [
        (drops, "connection_lost"),
        (cuts_short, "connection_lost"),
        (never_answers, "timeout"),
        (trickles, "timeout"),
        (sends_a_page, "broken_body"),
        (replies('{"id": "msg_1", "content": ['), "broken_body"),
        (replies(""), "broken_body"),
        (replies("null"), "broken_body"),
        (replies([]), "broken_body"),
        (replies({"choices": [], "content": None}), "broken_body"),
        (replies('{"a": 1, "a": 2}'), "broken_body"),
        (replies("[" * 100_000 + "]" * 100_000), "broken_body"),
        (replies({"error": {"message": "the model crashed"}}), "broken_body"),
    ],
)
async def test_what_is_no_whole_answer_is_worth_another_try(
    client: ProviderClient, server: ProviderServer, kind: Kind, behave: Behaviour, error_class: str
):
    fault = await faulted(client, server, call(kind, timeout=timedelta(seconds=0.4)), behave)
    assert (fault.kind, fault.error_class, fault.usage) == ("transient", error_class, Usage())


async def test_an_error_told_in_a_good_status_is_repeated(client: ProviderClient, server: ProviderServer):
    fault = await faulted(client, server, call("openai"), replies({"error": {"message": "the model crashed"}}))
    assert fault.message.endswith("the body has no 'choices': the model crashed")


@both
async def test_a_refused_connection_is_unreachable(kind: Kind):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    client = ProviderClient({"anthropic": Provider("anthropic", nobody), "local": Provider("openai", nobody)})
    fault = await client.ask(call(kind))
    assert isinstance(fault, ModelFault)
    assert (fault.kind, fault.error_class) == ("transient", "unreachable")
    await client.close()


@both
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ({"retry-after": "3600"}, timedelta(hours=1)),
        ({"retry-after": "0.2"}, timedelta(seconds=0.2)),
        ({"retry-after-ms": "150", "retry-after": "1"}, timedelta(seconds=0.15)),
        (
            {"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"},
            timedelta(seconds=30),
        ),
    ],
)
async def test_the_wait_a_provider_asks_for_is_told_and_not_slept(
    client: ProviderClient, server: ProviderServer, kind: Kind, header: dict[str, str], wait: timedelta
):
    fault = await faulted(client, server, call(kind), replies(error("Slow down."), 429, header))
    assert fault.retry_after == wait


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-5", None),
        ("1e300", timedelta(days=365)),
        ("Mon, 23 Nov 2026 10:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 09:00:00 GMT", timedelta(0)),
        ("Mon, 23 Nov 2026 10:00:30 -0000", timedelta(seconds=30)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=365)),
        ("Mon, 99 Nov 2026 10:00:30 GMT", None),
    ],
)
def test_a_strange_retry_after_does_no_harm(text: str, wait: timedelta | None):
    assert retry_after({"retry-after": text}, datetime(2026, 11, 23, 10, tzinfo=UTC)) == wait


@both
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"subtasks": ["a"', "Expecting ',' delimiter"),
        ('{"a": 1} and more', "Extra data"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": 1e999}', "Out of range float values are not JSON compliant"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": "\\ud83d"}', "surrogates not allowed"),
        ("[" * 100_000, "it is nested too deeply"),
        ("", "Expecting value"),
        ("[1]", "a JSON object was expected, not a list"),
        ('"{}"', "a JSON object was expected, not text"),
        ("null", "a JSON object was expected, not null"),
    ],
)
async def test_arguments_that_are_no_whole_object_are_refused_and_never_repaired(
    client: ProviderClient, server: ProviderServer, kind: Kind, arguments: str, why: str
):
    # Anthropic's `input` is part of the body; a string there is what a careless gateway makes of it.
    fault = await faulted(client, server, call(kind), replies(body(kind, arguments)))
    assert (fault.kind, fault.error_class, fault.usage) == ("malformed", "bad_arguments", USAGE[kind])
    assert fault.message.startswith("the arguments of 'plan' are not a whole JSON object: ")
    assert why in fault.message


@pytest.mark.parametrize("arguments", [["a"], None, 5])
async def test_an_input_of_anthropic_that_is_no_object_is_refused(
    client: ProviderClient, server: ProviderServer, arguments: object
):
    answer = body("anthropic")
    answer["content"][0]["input"] = arguments
    fault = await faulted(client, server, call("anthropic"), replies(answer))
    assert (fault.kind, fault.error_class, fault.usage) == ("malformed", "bad_arguments", USAGE["anthropic"])


@pytest.mark.parametrize("written", ['{"subtasks": [NaN]}', '{"subtasks": 1, "subtasks": 2}', '{"a": 1e999}'])
async def test_an_input_of_anthropic_with_tricks_makes_the_body_broken(
    client: ProviderClient, server: ProviderServer, written: str
):
    text = json.dumps(body("anthropic")).replace('{"subtasks": ["a"]}', written)
    fault = await faulted(client, server, call("anthropic"), replies(text))
    assert (fault.kind, fault.error_class) == ("transient", "broken_body")


@pytest.mark.parametrize(
    ("kind", "stop", "error_class", "message"),
    [
        ("anthropic", "max_tokens", "cut_off", "it was cut off by max_tokens (max_tokens was 500)"),
        ("anthropic", "model_context_window_exceeded", "cut_off", None),
        ("anthropic", None, "no_stop_reason", "its end was not seen (stop reason '')"),
        ("anthropic", "pause_turn", "no_stop_reason", "its end was not seen (stop reason 'pause_turn')"),
        ("openai", "length", "cut_off", "it was cut off by length (max_tokens was 500)"),
        ("openai", None, "no_stop_reason", "its end was not seen (stop reason '')"),
        ("openai", "abort", "no_stop_reason", "its end was not seen (stop reason 'abort')"),
    ],
)
async def test_an_answer_whose_end_was_not_seen_is_malformed_and_was_paid(
    client: ProviderClient,
    server: ProviderServer,
    *,
    kind: Kind,
    stop: str | None,
    error_class: str,
    message: str | None,
):
    fault = await faulted(client, server, call(kind), replies(body(kind, stop=stop)))
    assert (fault.kind, fault.error_class, fault.usage) == ("malformed", error_class, USAGE[kind])
    assert (fault.model, fault.response_id, fault.stop_reason) == (
        body(kind)["model"],
        body(kind)["id"],
        stop,
    )
    assert message in (None, fault.message)


@both
async def test_no_tool_used_where_one_was_demanded_is_malformed(
    client: ProviderClient, server: ProviderServer, kind: Kind
):
    fault = await faulted(client, server, call(kind), replies(body(kind, tool=False, text="I would rather talk.")))
    assert (fault.kind, fault.error_class, fault.usage) == ("malformed", "no_tool", USAGE[kind])
    assert fault.message == "it used no tool, and one of ['plan'] was expected"


@both
async def test_an_empty_answer_is_malformed(client: ProviderClient, server: ProviderServer, kind: Kind):
    fault = await faulted(client, server, call(kind, must_use_tool=False), replies(body(kind, tool=False)))
    assert (fault.kind, fault.error_class) == ("malformed", "empty")


async def test_a_refusal_is_permanent(client: ProviderClient, server: ProviderServer):
    details = {"type": "refusal", "category": "cyber", "explanation": "not this"}
    answer = body("anthropic", tool=False, text="I can't.", stop="refusal", stop_details=details)
    fault = await faulted(client, server, call("anthropic"), replies(answer))
    assert (fault.kind, fault.error_class, fault.usage) == ("permanent", "refused", USAGE["anthropic"])
    assert fault.message == "anthropic:claude-haiku-4-5 refused to answer: not this"


@pytest.mark.parametrize("stop", ["content_filter", "stop"])
async def test_a_refusal_in_chat_completions_is_permanent(client: ProviderClient, server: ProviderServer, stop: str):
    answer = body("openai", tool=False, stop=stop)
    answer["choices"][0]["message"]["refusal"] = "I can't."
    fault = await faulted(client, server, call("openai"), replies(answer))
    assert (fault.kind, fault.error_class, fault.usage) == ("permanent", "refused", USAGE["openai"])


@pytest.mark.parametrize(
    ("kind", "status", "answer", "error_class"),
    [
        ("openai", 429, {"error": {"code": "insufficient_quota", "message": "Pay."}}, "quota"),
        ("anthropic", 400, error("Your credit balance is too low.", "invalid_request_error"), "quota"),
        ("anthropic", 400, error("prompt is too long: 3 > 2", "invalid_request_error"), "context_window"),
    ],
)
async def test_no_money_and_no_room_are_told_apart_from_haste(
    client: ProviderClient, server: ProviderServer, *, kind: Kind, status: int, answer: dict[str, Any], error_class: str
):
    fault = await faulted(client, server, call(kind), replies(answer, status, {"retry-after": "1"}))
    assert (fault.kind, fault.error_class, fault.retry_after) == ("permanent", error_class, None)


async def test_a_fault_of_the_simulator_is_marked(client: ProviderClient, server: ProviderServer):
    behave = replies(error("Overloaded", "overloaded_error"), 529, {"request-id": "req_simulated_3"})
    assert (await faulted(client, server, call("anthropic"), behave)).simulated


@both
async def test_what_nobody_foresaw_is_permanent_and_named(
    client: ProviderClient, server: ProviderServer, kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> object:
        raise ZeroDivisionError(f"with {KEY} in it")

    monkeypatch.setattr("trimtab.models.client.to_messages", broken)
    fault = await client.ask(call(kind))
    assert isinstance(fault, ModelFault)
    assert (fault.kind, fault.error_class) == ("permanent", "ZeroDivisionError")
    assert fault.message.endswith("with *** in it")


@both
async def test_a_key_is_in_no_fault_log_or_repr(
    client: ProviderClient, server: ProviderServer, kind: Kind, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    told = error(f"invalid key {KEY}, header {{'Authorization': 'Bearer {KEY}'}}, was sk-proj-abcdef***wxyz")
    for behave in (replies(told, 401), replies(f"<p>{KEY}</p>", 500), drops, replies(told)):
        server.behave = behave
        assert isinstance(fault := await client.ask(call(kind)), ModelFault)
        assert "Zm9vYmFy" not in repr(fault)
        assert "wxyz" not in fault.message
    server.behave = replies(body(kind))
    assert isinstance(await client.ask(call(kind)), ModelAnswer)
    assert all(seen.headers["Authorization"] == f"Bearer {KEY}" for seen in server.requests)
    assert not any(KEY in record.getMessage() for record in caplog.records)
    assert KEY not in repr(vars(client))


def test_a_cleaned_text_is_one_short_line():
    assert clean("a\n  b\tc") == "a b c"
    assert clean("x" * 300) == "x" * 239 + "…"
    assert clean("half \ud83d") == "half ?"
