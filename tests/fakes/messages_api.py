"""A Messages API on loopback that plays a script: each request gets the next part, and what is left unsaid is a short answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

USAGE = {
    "input_tokens": 1000,
    "output_tokens": 200,
    "cache_creation_input_tokens": 1000,
    "cache_read_input_tokens": 2000,
    "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
}


@dataclass(frozen=True)
class Says:
    """An answer: text, then tools as (name, input); `model` where the API names another one than it was asked for."""

    text: str = "done"
    tools: tuple[tuple[str, dict[str, Any]], ...] = ()
    usage: dict[str, Any] = field(default_factory=dict)
    model: str = ""


@dataclass(frozen=True)
class Fails:
    """No answer: a status, or a stream that breaks off (`midstream`)."""

    status: int = 529
    midstream: bool = False


@dataclass
class Api:
    """What is played and what arrived; `is_played` says which requests get the next part (the others a short answer)."""

    url: str
    script: list[Says | Fails] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    is_played: Callable[[dict[str, Any]], bool] = lambda _: True
    numbers: count[int] = field(default_factory=lambda: count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_for(self, body: dict[str, Any]) -> tuple[int, Says | Fails]:
        with self.lock:
            self.models.append(body["model"])
            self.bodies.append(body)
            return next(self.numbers), self.script.pop(0) if self.script and self.is_played(body) else Says()


@contextmanager
def serving():
    api = Api("")

    class Answer(_Answer):
        played = api

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


class _Answer(BaseHTTPRequestHandler):
    played: Api
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._json(200, {})

    def do_GET(self):
        self._json(404, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.partition("?")[0] != "/v1/messages":
            self._json(404, {})
            return
        number, part = self.played.next_for(body)
        if isinstance(part, Fails) and not part.midstream:
            kind = {529: "overloaded_error", 400: "invalid_request_error"}.get(part.status, "api_error")
            self._json(part.status, {"type": "error", "error": {"type": kind, "message": "as asked"}}, number)
            return
        said = Says() if isinstance(part, Fails) else part
        usage = {**USAGE, **said.usage}
        message = {
            "id": f"msg_{number:08}", "type": "message", "role": "assistant", "model": said.model or body["model"],
            "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1},
        }  # fmt: skip
        stop = "tool_use" if said.tools else "end_turn"
        blocks: list[dict[str, Any]] = [{"type": "text", "text": said.text}]
        blocks += [
            {"type": "tool_use", "id": f"toolu_{number:06}_{place}", "name": name, "input": given}
            for place, (name, given) in enumerate(said.tools)
        ]
        if not body.get("stream"):
            self._json(200, {**message, "content": blocks, "stop_reason": stop, "usage": usage}, number)
            return
        self.send_response(200)
        for name, value in (
            ("content-type", "text/event-stream"),
            ("request-id", f"req_{number}"),
            ("connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self._event("message_start", message=message)
        if isinstance(part, Fails):
            self._event("error", error={"type": "overloaded_error", "message": "as asked"})
            return
        for place, block in enumerate(blocks):
            tool = block["type"] == "tool_use"
            self._event(
                "content_block_start",
                index=place,
                content_block={**block, "input": {}} if tool else {"type": "text", "text": ""},
            )
            delta = (
                {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
                if tool
                else {"type": "text_delta", "text": block["text"]}
            )
            self._event("content_block_delta", index=place, delta=delta)
            self._event("content_block_stop", index=place)
        self._event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=usage)
        self._event("message_stop")

    def _event(self, kind: str, **more: Any) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode())
        self.wfile.flush()

    def _json(self, status: int, told: dict[str, Any], number: int = 0) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        for name, value in (
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("request-id", f"req_{number}"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
