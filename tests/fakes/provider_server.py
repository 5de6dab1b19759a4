"""A provider on loopback that answers as a test says: the Messages API and chat completions, and all that goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aiohttp import web

Kind: TypeAlias = Literal["anthropic", "openai"]
Behaviour: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
KINDS: tuple[Kind, ...] = ("anthropic", "openai")


@dataclass
class Seen:
    headers: Mapping[str, str]
    body: dict[str, Any]
    path: str
    connection: object


@dataclass
class ProviderServer:
    behave: Behaviour | None = None
    requests: list[Seen] = field(default_factory=list[Seen])
    url: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        connection = request.transport.get_extra_info("peername")
        self.requests.append(Seen(dict(request.headers), await request.json(), request.path, connection))
        self.arrived.set()
        assert self.behave is not None, "the test gave no behaviour"
        return await self.behave(request)


@asynccontextmanager
async def provider_server() -> AsyncGenerator[ProviderServer]:
    server = ProviderServer()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def body(
    kind: Kind, arguments: Any = None, *, tool: bool = True, text: str = "", stop: str | None = "", **changes: Any
) -> dict[str, Any]:
    """Make a good body that uses the tool `plan`; without `tool` it leaves the tool out."""
    arguments = {"subtasks": ["a"]} if arguments is None else arguments
    if kind == "anthropic":
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        if tool:
            content.append({"type": "tool_use", "id": "toolu_1", "name": "plan", "input": arguments})
        return {
            "id": "msg_0001",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": content,
            "stop_reason": ("tool_use" if tool else "end_turn") if stop == "" else stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 100,
                "output_tokens": 50,
                "cache_creation_input_tokens": 1000,
                "cache_read_input_tokens": 2000,
                "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
            },
        } | changes
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if tool:
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        function = {"name": "plan", "arguments": written}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    finish = ("tool_calls" if tool else "stop") if stop == "" else stop
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny-7b",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {
            "prompt_tokens": 130,
            "completion_tokens": 50,
            "total_tokens": 180,
            "prompt_tokens_details": {"cached_tokens": 30},
        },
    } | changes


def replies(answer: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Reply with JSON, or with text as it is."""

    async def behave(request: web.Request) -> web.StreamResponse:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(text=text, status=status, headers=headers, content_type="application/json")

    return behave


async def drops(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cuts_short(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000", "content-type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": "msg_0001", "content": [{"type":')
    assert request.transport is not None
    request.transport.close()
    return response


async def never_answers(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def trickles(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    for _ in range(600):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


async def sends_a_page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>welcome to the gateway</html>", content_type="text/html")
