"""Brings the index up to date: reads what is new in every transcript, and prices what has no price yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from trimtab.core.usage import Usage
from trimtab.terminal.index import transaction
from trimtab.terminal.transcript_files import Found, Line, agent_of, began, edges, find, lines
from trimtab.terminal.transcript_row import BadLineError
from trimtab.terminal.transcripts import Call, Event, Reading, facts

Progress: TypeAlias = Callable[[int, int], None]
PICO = 12  # digits behind the point of a dollar in the index
_AT_ONCE = 20_000  # rows in memory before they are written
_OFTEN = 64 * 2**20  # bytes of one file, after which progress is told
_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000
_KEPT_FIGURES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "searches")


class CallPrices(Protocol):
    """Knows what a call of the terminal costs. `model` is as the transcript has it, without a provider."""

    @property
    def version(self) -> str:
        """Name the prices: calls are priced anew where they change."""
        ...

    def cost(self, model: str, usage: Usage, on: date, *, searches: int, speed: str, geo: str) -> Decimal | None:
        """Give the dollars of one call at the prices of a day; None where they are not known."""
        ...


@dataclass(slots=True)
class Filled:
    """What bringing the index up to date came to. `bad` names files and lines that could not be used."""

    files: int = 0
    read: int = 0
    bytes: int = 0
    gone: int = 0
    left: int = 0
    bad_lines: int = 0
    bad: list[str] = field(default_factory=list[str])
    shut: list[str] = field(default_factory=list[str])


def fill(
    connection: sqlite3.Connection,
    folder: Path,
    progress: Progress | None = None,
    *,
    since: int = 0,
    enough: Callable[[], bool] = lambda: False,
) -> Filled:
    """Read what is new below the terminal's folder.

    `progress` is told of bytes read and to be read. Files not written to after `since` (milliseconds) are left alone; once `enough`
    says so no other file is begun, and `left` counts those that were not.
    """
    found, shut = find(folder)
    filled = Filled(files=len(found), shut=shut)
    known = {row[0]: row[1:] for row in connection.execute(_FILES)}
    new = [f for f in found if known.get(str(f.path), ())[:3] != (f.inode, f.size, f.mtime)]
    new = [f for f in new if f.mtime >= since * 1_000_000]
    # A fork copies the rows of the session it comes from, which must be read first to keep them.
    new.sort(key=lambda f: (began(f.path), str(f.path)))
    size = sum(f.size for f in new)
    batch = _Batch(connection)
    for number, transcript in enumerate(new):
        if enough():
            filled.left = len(new) - number
            break
        _read(batch, transcript, known.get(str(transcript.path)), filled, progress and (lambda n: progress(n, size)))
        filled.bytes += transcript.size
        if progress:
            progress(filled.bytes, size)
    batch.write()
    if new:
        with transaction(connection):
            for statement in _SETTLE:
                connection.execute(statement)
    filled.gone = _mark_gone(connection, {str(f.path) for f in found}, known)
    rows = connection.execute("SELECT path, bad, first FROM file WHERE bad ORDER BY path").fetchall()
    filled.bad_lines = sum(row[1] for row in rows)
    filled.bad = [f"{path}: line {first}" + (f", and {bad - 1:,} more" if bad > 1 else "") for path, bad, first in rows]
    return filled


def price(connection: sqlite3.Connection, prices: CallPrices) -> None:
    """Give every call its dollars: those that have none yet, and all of them where the prices are others than before."""
    kept = connection.execute("SELECT value FROM kept WHERE name = 'prices'").fetchone()
    if kept is None or kept[0] != prices.version:
        with transaction(connection):
            connection.execute("UPDATE call SET priced = 0, usd = NULL WHERE priced")
            connection.execute("UPDATE told SET priced = 0, usd = NULL WHERE priced")
            connection.execute("INSERT OR REPLACE INTO kept VALUES ('prices', ?)", (prices.version,))
    for table, rest in (("call", "searches, speed, geo"), ("told", "0, speed, ''")):
        query = f"SELECT key, at, model, input, output, cache_read, cache_write_5m, cache_write_1h, {rest} FROM {table} WHERE priced = 0"  # noqa: S608 - both names are from the line above
        waiting = connection.execute(query).fetchall()
        if waiting:
            priced = [(*_priced(prices, *row[1:]), row[0]) for row in waiting]
            with transaction(connection):
                connection.executemany(f"UPDATE {table} SET priced = ?, usd = ? WHERE key = ?", priced)  # noqa: S608 - as above


def _priced(prices: CallPrices, at: int, model: str, *rest: int | str) -> tuple[int, int | None]:
    *tokens, searches, speed, geo = rest
    usage = Usage(*tokens)  # pyright: ignore[reportArgumentType] - five integers, by the query
    usd = prices.cost(model, usage, _day(at // _DAY_MS), searches=searches, speed=speed, geo=geo)  # pyright: ignore[reportArgumentType] - as above
    return (2, None) if usd is None else (1, round(usd.scaleb(PICO)))


@lru_cache(maxsize=1024)
def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)


# -- one file ------------------------------------------------------------------------------------------------------


def _read(
    batch: _Batch,
    found: Found,
    known: Sequence[int | str] | None,
    filled: Filled,
    progress: Callable[[int], None] | None,
) -> None:
    agent = agent_of(found.path) if found.agent else ""
    try:
        with found.path.open("rb", buffering=1 << 18) as file:
            state = _State.of(file, found, known, Reading(found.session, agent))
            filled.read += 1
            for line in lines(file, state.read_to, found.size):
                state.take(line, batch)
                if len(batch.calls) + len(batch.events) >= _AT_ONCE or state.read_to - state.told > _OFTEN:
                    batch.files.append(state.left(file))
                    batch.write()
                    file.seek(state.read_to)
                    if progress:
                        progress(filled.bytes + state.read_to)
            batch.files.append(state.left(file))
    except OSError as error:
        filled.shut.append(f"{found.path}: {error.strerror}")


@dataclass(slots=True)
class _Batch:
    """What was read and is not written yet: facts, and how far that brings their files; written together."""

    connection: sqlite3.Connection
    calls: list[Call] = field(default_factory=list[Call])
    events: list[Event] = field(default_factory=list[Event])
    files: list[tuple[int | str, ...]] = field(default_factory=list[tuple[int | str, ...]])

    def write(self) -> None:
        with transaction(self.connection):
            self.connection.executemany(_INSERT_CALL, map(_call_row, self.calls))
            self.connection.executemany(_INSERT_EVENT, map(_event_row, self.events))
            self.connection.executemany(_INSERT_FILE, self.files)
        self.calls.clear()
        self.events.clear()
        self.files.clear()


@dataclass(slots=True)
class _State:
    """How far a file was read."""

    found: Found
    reading: Reading
    read_to: int = 0
    line: int = 0
    bad: int = 0
    first: str = ""
    told: int = 0

    @classmethod
    def of(cls, file: BinaryIO, found: Found, known: Sequence[int | str] | None, reading: Reading) -> _State:
        """Go on where the file was left, unless it was written anew."""
        state = cls(found, reading)
        if known:
            _, _, _, read_to, line, head, kept, bad, first, _ = known
            if int(read_to) <= found.size and edges(file, int(read_to)) == head:
                reading.resume(str(kept))
                state.read_to, state.line, state.bad, state.first = int(read_to), int(line), int(bad), str(first)
        state.told = state.read_to
        return state

    def take(self, line: Line, batch: _Batch) -> None:
        self.read_to = line.end
        self.line += 1
        if line.text is None:
            self._is_bad("it is too long")
            return
        if line.text.isspace():
            return
        try:
            for fact in facts(line.text, self.reading):
                if isinstance(fact, Call):
                    batch.calls.append(fact)
                else:
                    batch.events.append(fact)
        except BadLineError as error:
            self._is_bad(str(error))

    def _is_bad(self, why: str) -> None:
        self.bad += 1
        self.first = self.first or f"{self.line}: {why}"

    def left(self, file: BinaryIO) -> tuple[int | str, ...]:
        """Write down how far the file was read. Only one that was read to its end is not looked into again."""
        found, self.told = self.found, self.read_to
        mtime = found.mtime if self.read_to == found.size else 0
        head = edges(file, self.read_to)
        told = (str(found.path), found.inode, found.size, mtime, self.read_to, self.line, head)
        return (*told, self.reading.kept(), self.bad, self.first)


def _mark_gone(connection: sqlite3.Connection, there: set[str], known: Mapping[str, Sequence[int | str]]) -> int:
    gone = [(path,) for path in known if path not in there]
    newly = [row for row in gone if not known[row[0]][-1]]
    if newly:
        with transaction(connection):
            connection.executemany("UPDATE file SET gone = 1 WHERE path = ?", newly)
    return len(gone)


def _columns(kind: type[Call | Event]) -> list[str]:
    return [column.name for column in fields(kind)]


_call_row = attrgetter(*_columns(Call))
_event_row = attrgetter(*_columns(Event))
_FILES = "SELECT path, inode, size, mtime, read_to, line, head, reading, bad, first, gone FROM file"
_INSERT_FILE = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
_INSERT_EVENT = f"INSERT OR IGNORE INTO event VALUES ({', '.join('?' * len(_columns(Event)))})"  # noqa: S608 - question marks
# One message has a row for each of its blocks, and the figures of an early one may not be the last: they only ever grow.
_GREW = " OR ".join(f"excluded.{name} > {name}" for name in _KEPT_FIGURES) + " OR (stop = '' AND excluded.stop <> '')"
_GROWN = ", ".join(f"{name} = max({name}, excluded.{name})" for name in _KEPT_FIGURES)
_INSERT_CALL = (
    f"INSERT INTO call ({', '.join(_columns(Call))}) VALUES ({', '.join('?' * len(_columns(Call)))}) ON CONFLICT (key)"  # noqa: S608 - names of columns
    f" DO UPDATE SET {_GROWN}, stop = CASE excluded.stop WHEN '' THEN stop ELSE excluded.stop END, priced = 0, usd = NULL WHERE {_GREW}"
)
# A subagent knows the prompt it serves by an id that the prompt's own row has.
_SETTLE = tuple(
    f"UPDATE {table} SET iteration = coalesce((SELECT substr(p.key, 8) FROM event p WHERE p.kind = 'prompt' AND p.detail = substr({table}.iteration, 4)"  # noqa: S608 - one of two names
    f" AND p.session = {table}.session AND p.at <= {table}.at ORDER BY p.at DESC LIMIT 1), iteration) WHERE iteration LIKE 'of %'"
    for table in ("call", "event")
)
