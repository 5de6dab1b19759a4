"""What a line of a transcript says: a call that was paid for, a prompt, a tool, a retry, how something ended.

Only figures, names and ids are taken; no text that anybody wrote or a model answered. Every fact has a key of its own, so that a line
read twice, or copied into another file by a fork or a resumed session, counts once. Lines are parsed whole: the order of their
keys is not promised, and parsing is fast enough (`bench/transcripts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from trimtab.terminal.transcript_row import (
    BadLineError,
    digest,
    is_same_model,
    mapping,
    name_of,
    parsed,
    time_of,
    tokens,
)

Kind: TypeAlias = Literal[
    "prompt", "tool", "edit", "tool_error", "retry", "resent", "fallback", "failure", "limit", "interrupt"
]
MAIN = "main"
SYNTHETIC = "<synthetic>"
_WRITES = frozenset({"Edit", "Write", "MultiEdit", "NotebookEdit"})
_STOPPED = "[Request interrupted"
# Without a source of the prompt (before 2.1) these tell what the terminal wrote itself from what a person did.
_NOT_A_PROMPT = ("<command-", "<local-command-", "<bash-", "<user-memory-", "<task-notification", "Caveat:")
_OPEN_REQUESTS = 32


@dataclass(frozen=True, slots=True)
class Call:
    """One answer of a model, as the API counts it. `at` is in milliseconds since 1970.

    `main` is whether the session itself asked, not a subagent; `iteration` is the prompt it served; `mismatch` is whether another model
    answered than was asked for. Tokens are of disjoint kinds, as in `core.usage.Usage`.
    """

    key: str
    at: int
    session: str
    project: str
    branch: str
    agent: str
    main: bool
    iteration: str
    model: str
    requested: str
    mismatch: bool
    version: str
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    searches: int
    speed: str
    geo: str
    stop: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and cost nothing by itself. `detail` depends on the kind; none holds text."""

    key: str
    kind: Kind
    at: int
    session: str
    project: str
    branch: str
    agent: str
    iteration: str
    detail: str = ""


@dataclass(slots=True)
class Reading:
    """Where a file was left: what later lines of it refer to, or do not say again. `agent` is that of `.meta.json`, empty in a session's own file."""

    session: str
    agent: str = ""
    iteration: str = ""
    project: str = ""
    branch: str = ""
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def kept(self) -> str:
        """Write it down, to go on with later."""
        return json.dumps([self.iteration, self.project, self.branch, self.waiting])

    def resume(self, kept: str) -> None:
        """Go on where `kept` was written."""
        try:
            self.iteration, self.project, self.branch, waiting = json.loads(kept)
            self.waiting = {str(key): (str(model), str(served)) for key, (model, served) in waiting.items()}
        except (ValueError, TypeError, AttributeError):
            self.iteration, self.waiting = "", {}


def facts(line: bytes, reading: Reading) -> Sequence[Call | Event]:
    """Give what one line says; most lines say nothing that counts.

    Raises:
        BadLineError: it is no JSON object, or one without what it must have.
    """
    row = parsed(line)
    kind = row.get("type")
    if "cwd" in row:
        reading.project, reading.branch = name_of(row["cwd"]), name_of(row.get("gitBranch"))
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return reader(row, reading) if reader else ()


def _assistant(row: dict[str, Any], reading: Reading) -> Sequence[Call | Event]:
    message = mapping(row.get("message"))
    answered = row.get("requestRef")
    if isinstance(answered, str):
        reading.waiting.pop(answered, None)
    if message.get("model") == SYNTHETIC or row.get("isApiErrorMessage") is True:
        failed = row.get("isApiErrorMessage") is True
        return [_event(row, reading, "failure", name_of(row.get("apiErrorStatus")))] if failed else ()
    usage = message.get("usage")
    if usage is None:
        return ()
    if not isinstance(usage, dict):
        raise BadLineError("its usage is no object")
    found: list[Call | Event] = [_call(row, message, cast("dict[str, Any]", usage), reading)]
    content = message.get("content")
    for block in cast("list[Any]", content) if isinstance(content, list) else ():
        if isinstance(block, dict):
            found += _tool(row, cast("dict[str, Any]", block), reading)
    return found


def _call(row: dict[str, Any], message: Mapping[str, Any], usage: dict[str, Any], reading: Reading) -> Call:
    model, requested = name_of(message.get("model")), name_of(row.get("requestedModel"))
    if not model:
        raise BadLineError("it names no model")
    written = tokens(usage, "cache_creation_input_tokens")
    kinds = mapping(usage.get("cache_creation"))
    hour = tokens(kinds, "ephemeral_1h_input_tokens")
    # A write whose kind is not told was for five minutes; gateways and old versions tell none, or zeros.
    five = max(tokens(kinds, "ephemeral_5m_input_tokens"), written - hour)
    ids = [name_of(message.get("id")), name_of(row.get("requestId")) or name_of(row.get("requestRef"))]
    agent, main = _agent(row, reading)
    return Call(
        key=" ".join(ids) if any(ids) else _key(row),
        at=time_of(row),
        # A fork copies the rows of the session it comes from, and says so.
        session=name_of(row.get("requestSessionId")) or _session(row, reading),
        project=reading.project,
        branch=reading.branch,
        agent=agent,
        main=main,
        iteration=_iteration(reading),
        model=model,
        requested=requested,
        mismatch=bool(requested) and not is_same_model(requested, model),
        version=name_of(row.get("version")),
        input=tokens(usage, "input_tokens"),
        output=tokens(usage, "output_tokens"),
        cache_read=tokens(usage, "cache_read_input_tokens"),
        cache_write_5m=five,
        cache_write_1h=hour,
        searches=tokens(mapping(usage.get("server_tool_use")), "web_search_requests"),
        speed=name_of(usage.get("speed")),
        geo=name_of(usage.get("inference_geo")),
        stop=name_of(message.get("stop_reason")),
        request_id=name_of(row.get("requestId")),
    )


def _tool(row: dict[str, Any], block: dict[str, Any], reading: Reading) -> Sequence[Event]:
    if block.get("type") not in ("tool_use", "server_tool_use"):
        return ()
    key, name = name_of(block.get("id")), name_of(block.get("name"))
    if not key:
        return ()
    given = mapping(block.get("input") if name in _WRITES else None)
    path = given.get("file_path") or given.get("notebook_path")
    if isinstance(path, str):
        return [_event(row, reading, "edit", digest(path), key=f"tool {key}")]
    return [_event(row, reading, "tool", name, key=f"tool {key}")]


def _user(row: dict[str, Any], reading: Reading) -> Sequence[Event]:
    content = mapping(row.get("message")).get("content")
    blocks: list[dict[str, Any]] = []
    if isinstance(content, list):
        blocks = [cast("dict[str, Any]", b) for b in cast("list[Any]", content) if isinstance(b, dict)]
    text = (
        content if isinstance(content, str) else next((b["text"] for b in blocks if isinstance(b.get("text"), str)), "")
    )
    asked, main = name_of(row.get("promptId")), _agent(row, reading)[1]
    if not main:
        # A subagent serves the prompt that its session was given; the index finds which by this id.
        reading.iteration = f"of {asked}" if asked else reading.iteration
    results = [b for b in blocks if b.get("type") == "tool_result"]
    if results:
        wrong = [name_of(b.get("tool_use_id")) for b in results if b.get("is_error") is True]
        return [_event(row, reading, "tool_error", key=f"error {key}") for key in wrong if key]
    if text.startswith(_STOPPED):
        return [_event(row, reading, "interrupt")]
    if not main or not _is_prompt(row, text):
        return ()
    reading.iteration = _key(row)
    return [_event(row, reading, "prompt", asked)]


def _is_prompt(row: dict[str, Any], text: str) -> bool:
    if any(row.get(flag) is True for flag in ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")):
        return False
    source = row.get("promptSource")
    if source is None:
        return bool(text.strip()) and not text.lstrip().startswith(_NOT_A_PROMPT)
    if text.lstrip().startswith(_NOT_A_PROMPT[:2]):
        return False
    by_whom = mapping(row.get("origin")).get("kind"), row.get("turnOrigin")
    return source != "system" and all(name_of(by) in ("", "human", "sdk") for by in by_whom)


def _system(row: dict[str, Any], reading: Reading) -> Sequence[Event]:
    subtype = row.get("subtype")
    if subtype == "api_error":
        status = name_of(mapping(row.get("error")).get("status")) or "connection"
        return [_event(row, reading, "retry", status)]
    if isinstance(subtype, str) and subtype.endswith("_fallback") and not subtype.endswith("no_fallback"):
        names = (name_of(row.get(key)) for key in ("originalModel", "fallbackModel"))
        return [_event(row, reading, "fallback", f"{' -> '.join(names)} ({name_of(row.get('trigger'))})")]
    return ()


def _request(row: dict[str, Any], reading: Reading) -> Sequence[Event]:
    """Find a try that was repeated: a request built on one that got no answer, for the same prompt, to the same model.

    Retries after a broken stream and after status 400 leave no other trace.
    """
    key, base = name_of(row.get("id")), name_of(row.get("base"))
    if not key:
        return ()
    this = (name_of(mapping(row.get("params")).get("model")), _iteration(reading))
    again = reading.waiting.pop(base, None) == this
    reading.waiting[key] = this
    if len(reading.waiting) > _OPEN_REQUESTS:
        reading.waiting.pop(next(iter(reading.waiting)))
    return [_event(row, reading, "resent", this[0], key=f"resent {key}")] if again else ()


def _attachment(row: dict[str, Any], reading: Reading) -> Sequence[Event]:
    kind = mapping(row.get("attachment")).get("type")
    return [_event(row, reading, "limit", "turns")] if kind == "max_turns_reached" else ()


_READERS: Mapping[str, Any] = {
    "assistant": _assistant,
    "user": _user,
    "system": _system,
    "api-request": _request,
    "attachment": _attachment,
}


# -- events --------------------------------------------------------------------------------------------------------


def _event(row: dict[str, Any], reading: Reading, kind: Kind, detail: str = "", *, key: str = "") -> Event:
    return Event(
        key=key or f"{kind} {_key(row)}",
        kind=kind,
        at=time_of(row),
        session=_session(row, reading),
        project=reading.project,
        branch=reading.branch,
        agent=_agent(row, reading)[0],
        iteration=_iteration(reading),
        detail=detail,
    )


def _key(row: dict[str, Any]) -> str:
    key = name_of(row.get("uuid"))
    if not key:
        raise BadLineError("it has no uuid")
    return key


def _session(row: dict[str, Any], reading: Reading) -> str:
    return name_of(row.get("sessionId")) or reading.session


def _iteration(reading: Reading) -> str:
    return reading.iteration or reading.session


def _agent(row: dict[str, Any], reading: Reading) -> tuple[str, bool]:
    main = row.get("isSidechain") is not True and not row.get("agentId") and not reading.agent
    return (MAIN, True) if main else (name_of(row.get("attributionAgent")) or reading.agent or "subagent", False)
