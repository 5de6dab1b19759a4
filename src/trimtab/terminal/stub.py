"""A stand-in for the Messages API on loopback: answers one word, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

_LARGEST = 64_000_000


@dataclass(slots=True)
class Stub:
    """What arrived, in order, and where it listens."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    came: threading.Event = field(default_factory=threading.Event)


@contextmanager
def listening() -> Generator[Stub]:
    """Listen on a free port of loopback for as long as the block runs."""
    stub = Stub("")

    class Answer(_Answer):
        asked = stub

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


class _Answer(BaseHTTPRequestHandler):
    asked: Stub
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet: standard error is the user's."""

    def do_HEAD(self) -> None:
        """Say that something listens."""
        self._reply(200, b"", "application/json")

    def do_GET(self) -> None:
        """Have nothing else to offer."""
        self._reply(404, _error("no such page"), "application/json")

    def do_POST(self) -> None:
        """Keep a request for a message and answer it with one word."""
        length = self.headers.get("content-length") or "0"
        raw = self.rfile.read(min(int(length), _LARGEST)) if length.isdigit() else b""
        try:
            body: object = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not self.path.partition("?")[0].endswith("/v1/messages"):
            self._reply(404, _error("only messages are answered here"), "application/json")
            return
        asked = cast("dict[str, Any]", body)
        self.asked.bodies.append(asked)
        self.asked.came.set()
        streams = bool(asked.get("stream"))
        said = _events(str(asked.get("model"))) if streams else json.dumps(_message(str(asked.get("model")))).encode()
        self._reply(200, said, "text/event-stream" if streams else "application/json")

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


def _error(message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": "not_found_error", "message": message}}).encode()


def _message(model: str) -> dict[str, Any]:
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _events(model: str) -> bytes:
    start: dict[str, Any] = {**_message(model), "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
