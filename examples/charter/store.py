"""A company's store: one SQLite file. A call and what it changed are one transaction, once per idempotency key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from trimtab import Failed, Handoff, Rejected, Retry, Status, Step

from . import results
from .books import Books
from .wire import dumps, local, minute
from .world import World

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one tool."""

    run_id: str
    subtask: str
    key: str
    action: str
    arguments: Mapping[str, Any]
    approved_by: str | None = None

    @classmethod
    def of(cls, step: Step, action: str, arguments: Mapping[str, Any]) -> Call:
        """Name the call that a step makes."""
        return cls(step.run_id, step.subtask, step.idempotency_key, action, arguments, step.approved_by)


class Store:
    """The file of one company. Safe between threads and processes; calls may come from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        self._db: sqlite3.Connection | None = None
        self._world: World | None = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def world(self) -> World:
        """The company's facts as they were when the store was made, context of the request included."""
        with self._lock:
            if self._world is None:
                self._world = World.read(json.loads(self._meta("world")))
            return self._world

    @property
    def given(self) -> Mapping[str, Any]:
        """The world's JSON that the store was made from."""
        return json.loads(self._meta("world"))

    @property
    def now(self) -> datetime:
        """The company's time."""
        return local(self._meta("now"))

    @now.setter
    def now(self, when: datetime) -> None:
        with self._lock:
            self._open().execute("UPDATE meta SET value = ? WHERE key = 'now'", (minute(when),))

    def read(self, look: Callable[[Books], T]) -> T:
        """Look at one consistent state of the books."""
        with self._transaction("DEFERRED") as db:
            return look(Books(db, self.world))

    def write(self, change: Callable[[Books], T]) -> T:
        """Change the books outside any call: seeding, a guest's signature, an operator's decision."""
        with self._transaction("IMMEDIATE") as db:
            return change(Books(db, self.world))

    def reading(self, call: Call, look: Callable[[Books], T]) -> T:
        """Serve a call that changes nothing."""
        self._enter(call)
        return self.read(look)

    def writing(self, call: Call, change: Callable[[Books], T]) -> T:
        """Serve a call that changes something: once. The same key again gets the first outcome and does nothing."""
        self._enter(call)
        with self._transaction("IMMEDIATE") as db:
            first = db.execute("SELECT outcome FROM effects WHERE key = ?", (call.key,)).fetchone()
            if first is not None:
                return _load(first["outcome"])
            books = Books(db, self.world, call.run_id, call.subtask, call.key)
            db.execute("SAVEPOINT work")
            outcome = change(books)
            if isinstance(outcome, (Rejected, Retry, Failed)):
                # The world said no: whatever was begun goes back, and a later attempt may fare better.
                db.execute("ROLLBACK TO work")
                return outcome
            undo = None if books.undo is None else dumps(books.undo)
            db.execute(
                "INSERT INTO effects (key, run_id, subtask, action, outcome, undo) VALUES (?, ?, ?, ?, ?, ?)",
                (call.key, call.run_id, call.subtask, call.action, _dump(outcome), undo),
            )
            return outcome

    def first(self, key: str) -> Any:
        """Give the first outcome of the call with this key; None where it changed nothing."""
        with self._transaction("DEFERRED") as db:
            row = db.execute("SELECT outcome FROM effects WHERE key = ?", (key,)).fetchone()
        return None if row is None else _load(row["outcome"])

    def put_off(self, key: str, opening: datetime, until: datetime) -> datetime:
        """Keep until when a call waits for the company to open, as it was first said: the company's own clock may stand still."""
        name = f"put off {key} to {minute(opening)}"
        with self._transaction("IMMEDIATE") as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, until.isoformat()))
            row = db.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
        return datetime.fromisoformat(row["value"])

    def undoing(
        self, step: Step, action: str, undo: Callable[[Books, Mapping[str, Any]], Rejected | None]
    ) -> Rejected | None:
        """Take the effect of a call back, once; refused, it stands. A call that changed nothing has nothing to undo."""
        with self._transaction("IMMEDIATE") as db:
            row = db.execute(
                """SELECT n, undo FROM effects WHERE run_id = ? AND subtask = ? AND action = ? AND NOT undone
                   ORDER BY key = ? DESC, n DESC LIMIT 1""",
                (step.run_id, step.subtask, action, step.compensates),
            ).fetchone()
            if row is None:
                return None
            db.execute("SAVEPOINT work")
            db.execute("UPDATE effects SET undone = 1 WHERE n = ?", (row["n"],))
            if row["undo"] is None:
                return None
            books = Books(db, self.world, step.run_id, step.subtask, step.idempotency_key)
            refused = undo(books, json.loads(row["undo"]))
            if refused is not None:
                db.execute("ROLLBACK TO work")
            return refused

    def approve(self, run_id: str, subtask: str, operator: str) -> None:
        """Record that a signed-in operator decided for a held call."""
        with self._transaction("IMMEDIATE") as db:
            _approve(db, run_id, subtask, operator)

    def table(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Read rows for a report."""
        with self._transaction("DEFERRED") as db:
            return [dict(row) for row in db.execute(query, values)]

    def set_meta(self, **values: str) -> None:
        """Write what the company is known by."""
        with self._transaction("IMMEDIATE") as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def _meta(self, key: str) -> str:
        with self._lock:
            return self._open().execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    def _enter(self, call: Call) -> None:
        row = (call.key, call.run_id, call.subtask, call.action, dumps(call.arguments), datetime.now(UTC).isoformat())
        with self._transaction("IMMEDIATE") as db:
            db.execute("INSERT INTO calls (key, run_id, subtask, action, arguments, at) VALUES (?, ?, ?, ?, ?, ?)", row)
            if call.approved_by is not None:
                _approve(db, call.run_id, call.subtask, call.approved_by)

    @contextmanager
    def _transaction(self, kind: str) -> Generator[sqlite3.Connection]:
        with self._lock:
            db = self._open()
            db.execute(f"BEGIN {kind}")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            db = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            db.row_factory = sqlite3.Row
            # FULL: an effect must survive a power cut at least as well as the journal that says it happened.
            db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                schema = Path(__file__).with_name("schema.sql").read_text("utf-8")
                db.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = 1; COMMIT;")
            self._db = db
        return self._db


def _approve(db: sqlite3.Connection, run_id: str, subtask: str, operator: str) -> None:
    # Once, however often the call that they approved comes in.
    db.execute(
        """INSERT INTO approvals (run_id, subtask, operator, at) SELECT :run_id, :subtask, :operator, :at WHERE NOT EXISTS
           (SELECT 1 FROM approvals WHERE run_id = :run_id AND subtask = :subtask AND operator = :operator)""",
        {"run_id": run_id, "subtask": subtask, "operator": operator, "at": datetime.now(UTC).isoformat()},
    )


@cache
def _codec(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(getattr(results, name))


def _dump(outcome: object) -> str:
    handoff = None
    value: Any = outcome
    if isinstance(outcome, Handoff):
        outcome = cast("Handoff[Any]", outcome)
        value = outcome.value
        handoff = {"status": outcome.status.value, "reason": outcome.reason, "stops": outcome.stops}
    kind = type(value).__name__
    return json.dumps(
        {"kind": kind, "value": _codec(kind).dump_python(value, mode="json", by_alias=True), "handoff": handoff}
    )


def _load(text: str) -> Any:
    stored = json.loads(text)
    value = _codec(stored["kind"]).validate_python(stored["value"])
    handoff = stored["handoff"]
    return value if handoff is None else Handoff(Status(handoff["status"]), value, handoff["reason"], handoff["stops"])
