"""OTLP/http JSON as the terminal sends it: calls of models out of its log records.

Of logs, `api_request` is a call; other events are counted. Metrics repeat what `api_request` says and are counted only. What telemetry
tells never adds to what transcripts tell: `queries/told.sql` leaves only what no transcript has.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any, cast

from trimtab.terminal.index import transaction

LARGEST = 16 * 2**20  # bytes of a body, unpacked
_CALL = "api_request"
_MOST_TOKENS = 100_000_000
_LONGEST_NAME = 400
_NANO_TO_MILLI = 1_000_000


class BadBodyError(ValueError):
    """A body that is not OTLP JSON, or too large; says why."""


@dataclass(frozen=True, slots=True)
class ToldCall:
    """A call that telemetry tells of. `key` is the same when the same record is sent again."""

    key: str
    at: int
    session: str
    agent: str
    model: str
    version: str
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    speed: str
    request_id: str


@dataclass(slots=True)
class Received:
    """What one body held: calls, other records by their names, and records that could not be used."""

    calls: list[ToldCall] = field(default_factory=list[ToldCall])
    others: Counter[str] = field(default_factory=Counter[str])
    bad: int = 0


def unpacked(body: bytes, encoding: str) -> bytes:
    """Unpack a body as its content-encoding says.

    Raises:
        BadBodyError: it cannot be unpacked, or is larger than `LARGEST`.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise BadBodyError(f"content-encoding {encoding!r} is not known, expected gzip")
    unpack = zlib.decompressobj(wbits=47)
    try:
        found = unpack.decompress(body, LARGEST)
    except zlib.error as error:
        raise BadBodyError(f"it cannot be unpacked: {error}") from error
    if unpack.unconsumed_tail:
        raise BadBodyError(f"it is larger than {LARGEST:,} bytes")
    if not unpack.eof:
        raise BadBodyError("it is not whole")
    return found


def received(body: bytes) -> Received:
    """Read a body of /v1/logs or /v1/metrics.

    Raises:
        BadBodyError: it is no JSON object.
    """
    try:
        told: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBodyError("it is not JSON") from error
    if not isinstance(told, dict):
        raise BadBodyError("it is no JSON object")
    found = Received()
    for resource, record in _records(cast("dict[str, Any]", told), "resourceLogs", "scopeLogs", "logRecords"):
        said = _attributes(record)
        name = _text(said.get("event.name")) or _text(_value(record.get("body"))).removeprefix("claude_code.")
        if name != _CALL:
            found.others[name or "unnamed"] += 1
            continue
        call = _call(resource, record, said)
        if call is None:
            found.bad += 1
        else:
            found.calls.append(call)
    for _, metric in _records(cast("dict[str, Any]", told), "resourceMetrics", "scopeMetrics", "metrics"):
        found.others[_text(metric.get("name")) or "unnamed"] += 1
    return found


def store(connection: sqlite3.Connection, calls: Sequence[ToldCall]) -> int:
    """Write calls into the index and give how many were new."""
    names = [column.name for column in fields(ToldCall)]
    query = f"INSERT OR IGNORE INTO told ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names of columns
    before = connection.total_changes
    with transaction(connection):
        connection.executemany(query, [astuple(call) for call in calls])
    return connection.total_changes - before


def _call(resource: Mapping[str, Any], record: Mapping[str, Any], said: Mapping[str, Any]) -> ToldCall | None:
    at, model, session = _time(record, said), _text(said.get("model")), _text(said.get("session.id"))
    counts = [_count(said.get(name)) for name in ("input_tokens", "output_tokens", "cache_read_tokens")]
    written, five, hour = (_count(said.get(f"cache_creation_{kind}tokens")) for kind in ("", "5m_", "1h_"))
    # As in a transcript: a write whose kind is not told was for five minutes.
    figures = [*counts, max(five or 0, (written or 0) - (hour or 0)), hour or 0]
    if at is None or not model or any(count is None for count in figures):
        return None
    told = json.dumps([session, at, sorted(said.items(), key=str)], default=str)
    return ToldCall(
        blake2b(told.encode(errors="replace"), digest_size=12).hexdigest(),
        at,
        session,
        _text(said.get("agent.name")) or _text(said.get("query_source")),
        model,
        _text(resource.get("service.version")),
        *(count or 0 for count in figures),
        speed=_text(said.get("speed")),
        request_id=_text(said.get("request_id")),
    )


def _records(
    told: dict[str, Any], outer: str, middle: str, inner: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for one in _list(told.get(outer)):
        resource = one.get("resource")
        known = _attributes(cast("dict[str, Any]", resource)) if isinstance(resource, dict) else {}
        for scope in _list(one.get(middle)):
            for record in _list(scope.get(inner)):
                yield known, record


def _list(value: object) -> list[dict[str, Any]]:
    return (
        [cast("dict[str, Any]", v) for v in cast("list[Any]", value) if isinstance(v, dict)]
        if isinstance(value, list)
        else []
    )


def _attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    return {_text(a.get("key")): _value(a.get("value")) for a in _list(record.get("attributes"))}


def _value(value: object) -> object:
    """Give the one value of OTLP's `{"stringValue": ...}`; 64-bit integers may come as text."""
    return next(iter(cast("dict[str, Any]", value).values()), None) if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value[:_LONGEST_NAME].encode(errors="replace").decode() if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    try:
        count = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None
    return count if count is not None and 0 <= count <= _MOST_TOKENS else None


def _time(record: Mapping[str, Any], said: Mapping[str, Any]) -> int | None:
    written = said.get("event.timestamp")
    try:
        if isinstance(written, str) and (at := datetime.fromisoformat(written)).tzinfo is not None:
            return round(at.timestamp() * 1000)
        at_nano = int(record["timeUnixNano"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return at_nano // _NANO_TO_MILLI if 0 <= at_nano < 2**63 else None
