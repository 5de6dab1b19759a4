"""The simulator itself: real HTTP on loopback, in the process that starts it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from trimtab.core.errors import UsageError
from trimtab.models.simulator import wire
from trimtab.models.simulator.answers import api_fault, lengthened, speak
from trimtab.models.simulator.book import AnswerBook
from trimtab.models.simulator.dice import Dice
from trimtab.models.simulator.memory import Memory
from trimtab.models.simulator.profile import ApiFault, Profile, Settings
from trimtab.models.simulator.prompts import read
from trimtab.models.simulator.speech import Speech

Q = TypeVar("Q", bound=wire.Question)

_WHAT = (
    "trimtab's model simulator: it speaks the Anthropic Messages API and answers from an answer book; it is no model"
)
_MARK = {"x-simulated": "true"}
_MAX_BODY = 32 * 1024 * 1024  # as the real API
_RETRY_AFTER = 1.0  # seconds; scaled with the pace, like all other time
_REFUSING: Mapping[ApiFault, tuple[int, str]] = {
    "rate_limited": (429, "this request would exceed a rate limit"),
    "overloaded": (529, "Overloaded"),
    "server_error": (500, "Internal server error"),
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    message: str
    counted: str


@dataclass(frozen=True, slots=True)
class _Reply:
    """One answer on its way: what, to which request, under which name and with which fault."""

    request: wire.Request
    speech: Speech
    tokens: tuple[int, int]
    name: str
    fault: ApiFault | None

    def body(self) -> bytes:
        return wire.message_body(self.request.model, self.speech, self.tokens, self.name)

    def events(self) -> Iterator[bytes]:
        return wire.message_events(self.request.model, self.speech, self.tokens, self.name)


class Simulator:
    """Serves simulated models from `start` to `close`; the base URL that `start` gives is what an SDK wants.

    The same seed gives the same answers in any order and at any concurrency. `pace` scales all waiting: 1.0 is as slow
    as the real models, 0.01 a hundred times faster, 0 does not wait. `calls` counts what was asked, said and refused.
    """

    def __init__(self, book: AnswerBook, profile: Profile, *, seed: int = 0, pace: float = 1.0) -> None:
        if not 0 <= pace < float("inf"):
            raise UsageError(f"pace is {pace!r}, expected a number from 0 up", hint="1.0 is as slow as the real models")
        self.calls: Counter[str] = Counter()
        self._book = book
        self._profile = profile
        self._seed = seed
        self._pace = pace
        self._memory = Memory(book)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen on a loopback address (port 0: any free one) and give the base URL."""
        if not _is_loopback(host):
            raise UsageError(f"the simulator listens on loopback only, not on {host!r}", hint="use host='127.0.0.1'")
        if self._runner is not None:
            raise UsageError("this simulator is started already", hint="close it first, or make another")
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            hint = "port=0 takes any free port"
            raise UsageError(
                f"the simulator cannot listen on {host}:{port}: {error.strerror or error}", hint=hint
            ) from None
        self._runner = runner
        bound = runner.addresses[0][1]
        return f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"

    async def close(self) -> None:
        """Stop listening and drop what is still open; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_MAX_BODY)
        application.add_routes(
            [
                web.get("/", self._front),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{model}", self._model),
                web.post("/v1/messages", self._messages),
                web.post("/v1/messages/count_tokens", self._count_tokens),
                web.route("*", "/{path:.*}", self._nowhere),
            ]
        )
        return application

    async def _messages(self, http: web.Request) -> web.StreamResponse:
        admitted = await self._admit(http, wire.Request)
        if isinstance(admitted, _Refusal):
            return self._refuse(admitted)
        request, settings, size = admitted
        self.calls["messages"] += 1
        asked = read(request)
        entry, place = self._memory.place(asked, request.model, request.run_id)
        dice = Dice((self._seed, self._profile.name, request.model, *place))
        fault = api_fault(settings, dice)
        if fault and fault in _REFUSING:
            return self._refuse(_Refusal(*_REFUSING[fault], fault))
        speech = speak(asked, entry, self._book, settings, dice)
        speech, said = lengthened(speech, request.max_tokens, fault, settings, dice)
        self.calls.update((speech.kind, *speech.failures, *((fault,) if fault else ())))
        await asyncio.sleep(settings.latency.at(dice.roll("latency")) * self._pace)
        return await _send(http, _Reply(request, speech, (_tokens(size), said), dice.token("name"), fault))

    async def _count_tokens(self, http: web.Request) -> web.Response:
        admitted = await self._admit(http, wire.Question)
        if isinstance(admitted, _Refusal):
            return self._refuse(admitted)
        self.calls["count_tokens"] += 1
        return web.json_response({"input_tokens": _tokens(admitted[2])}, headers=_MARK)

    async def _front(self, http: web.Request) -> web.Response:
        del http
        said = {"simulated": True, "what": _WHAT, "profile": self._profile.name, "about": self._profile.about}
        counted = {
            "seed": self._seed,
            "pace": self._pace,
            "entries": len(self._book.entries),
            "calls": dict(self.calls),
        }
        return web.json_response(said | counted, headers=_MARK)

    async def _models(self, http: web.Request) -> web.Response:
        if not _signed(http):
            return self._refuse(_UNSIGNED)
        self.calls["models"] += 1
        listed = [wire.model_entry(model) for model in self._profile.model_ids]
        ends = {"first_id": listed[0]["id"] if listed else None, "last_id": listed[-1]["id"] if listed else None}
        return web.json_response({"data": listed, "has_more": False, **ends}, headers=_MARK)

    async def _model(self, http: web.Request) -> web.Response:
        model = http.match_info["model"]
        if not _signed(http):
            return self._refuse(_UNSIGNED)
        if self._profile.settings(model) is None:
            return self._refuse(_no_model(model))
        self.calls["models"] += 1
        return web.json_response(wire.model_entry(model), headers=_MARK)

    async def _nowhere(self, http: web.Request) -> web.Response:
        return self._refuse(_Refusal(404, f"{http.method} {http.path} is not served here", "not_found"))

    async def _admit(self, http: web.Request, kind: type[Q]) -> tuple[Q, Settings, int] | _Refusal:
        """Give the request, what is said of its model, and its size in bytes."""
        if not _signed(http):
            return _UNSIGNED
        try:
            raw = await http.read()
            question = kind.model_validate_json(raw)
        except ConnectionError:
            return _Refusal(400, "the connection was lost", "lost")  # the client did not wait
        except web.HTTPRequestEntityTooLarge:
            return _Refusal(413, f"Request exceeds the maximum size of {_MAX_BODY} bytes", "too_large")
        except ValidationError as error:
            return _Refusal(400, wire.complaint(error), "invalid")
        if wrong := wire.misuse(question):
            return _Refusal(400, wrong, "invalid")
        settings = self._profile.settings(question.model)
        return (question, settings, len(raw)) if settings else _no_model(question.model)

    def _refuse(self, refusal: _Refusal) -> web.Response:
        self.calls[refusal.counted] += 1
        name = f"req_simulated_{self.calls.total():016x}"
        headers = {**_MARK, "request-id": name}
        if refusal.status == _TOO_MANY:
            headers["retry-after"] = f"{_RETRY_AFTER * self._pace:g}"
        body = wire.error_body(refusal.status, refusal.message, name)
        return web.Response(status=refusal.status, body=body, content_type="application/json", headers=headers)


async def _send(http: web.Request, reply: _Reply) -> web.StreamResponse:
    pieces = list(reply.events()) if reply.request.stream else [reply.body()]
    kind = "text/event-stream" if reply.request.stream else "application/json"
    response = web.StreamResponse(headers={**_MARK, "request-id": f"req_simulated_{reply.name}", "content-type": kind})
    if reply.fault == "garbage":
        # The last piece but three is a delta: SDKs do not look into every kind of event.
        place = max(0, len(pieces) - 4)
        pieces[place] = pieces[place][: len(pieces[place]) // 2] + b"\n\n"
    body = b"".join(pieces)
    if not reply.request.stream:
        response.content_length = len(body)
    try:
        await response.prepare(http)
        await response.write(body[: len(body) // 2] if reply.fault == "dropped" else body)
        if reply.fault == "dropped" and http.transport:
            http.transport.close()
        else:
            await response.write_eof()
    except ConnectionError:  # the client did not wait
        pass
    return response


def _signed(http: web.Request) -> bool:
    return bool(http.headers.get("x-api-key") or http.headers.get("authorization"))


def _no_model(model: str) -> _Refusal:
    return _Refusal(404, f"model: {model}", "unknown_model")


def _tokens(size: int) -> int:
    return -(-size // 4)  # about four bytes a token; the envelope of the request counts, as it is small


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_TOO_MANY = 429
_UNSIGNED = _Refusal(401, "x-api-key header is required", "unauthorized")
