"""A sink for OTLP/http JSON on loopback, and on nothing else: whoever can reach it could make up what was spent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

from trimtab.core.errors import UsageError
from trimtab.terminal.otlp import LARGEST, BadBodyError, Received, received, unpacked

_PATHS = ("/v1/logs", "/v1/metrics")
_HOSTS = ("127.0.0.1", "localhost")
_SLOWEST = 10.0  # seconds for a body to arrive


class Sink(HTTPServer):
    """Listens on 127.0.0.1 and gives what arrives to `take`, one body at a time; whoever sent it is answered after that."""

    allow_reuse_address = True

    def __init__(self, port: int, take: Callable[[Received], None]) -> None:
        self.take = take
        try:
            super().__init__(("127.0.0.1", port), _Answer)
        except OSError as error:
            raise UsageError(
                f"cannot listen on 127.0.0.1:{port}: {error.strerror}", hint="choose another port with --port"
            ) from error


class _Answer(BaseHTTPRequestHandler):
    server: Sink  # pyright: ignore[reportIncompatibleVariableOverride] - it is one
    protocol_version = "HTTP/1.1"
    timeout = _SLOWEST

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet: what arrived is told elsewhere."""

    def do_GET(self) -> None:
        """Have nothing to show."""
        self._reply(404, "POST to /v1/logs or /v1/metrics")

    def do_POST(self) -> None:
        """Take a body, unless it is not from here, not JSON, or too large."""
        # A page in a browser must not write here: it can neither name this content type without asking nor be of this host.
        host = (self.headers.get("host") or "").rpartition(":")[0] or self.headers.get("host")
        kind = (self.headers.get("content-type") or "").partition(";")[0].strip().lower()
        length = self.headers.get("content-length") or ""
        if host not in _HOSTS or self.headers.get("origin"):
            self._reply(403, "only programs on this machine may send")
        elif self.path not in _PATHS:
            self._reply(404, "POST to /v1/logs or /v1/metrics")
        elif kind != "application/json":
            self._reply(415, f"expected application/json, not {kind!r}: set OTEL_EXPORTER_OTLP_PROTOCOL=http/json")
        elif not length.isdecimal():
            self._reply(411, "expected a content-length")
        elif len(length) > len(str(LARGEST)) or int(length) > LARGEST:
            self._reply(413, f"larger than {LARGEST:,} bytes")
        else:
            self._take(int(length))

    def _take(self, length: int) -> None:
        try:
            body = self.rfile.read(length)
            found = received(unpacked(body, (self.headers.get("content-encoding") or "").strip().lower()))
        except BadBodyError as error:
            self._reply(400, str(error))
            return
        try:
            self.server.take(found)
        except sqlite3.Error as error:
            # The sender tries again, and nothing is lost.
            self._reply(503, str(error))
            return
        self._reply(200, "")

    def _reply(self, status: int, why: str) -> None:
        # Connections are not kept: one that stays open would keep the next sender waiting.
        body = b"{}" if not why else why.encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("content-type", "text/plain" if why else "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)
