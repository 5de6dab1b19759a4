"""The one SQLite file: opened, locked, migrated, and every statement that touches the engine's tables."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import IO, Any

from trimtab.core.errors import StoreBrokenError, StoreLockedError
from trimtab.core.outcome import Status
from trimtab.core.ports import Ended, FactWriter, NewRun, Parked, Standing
from trimtab.core.values import Json, dumps

VERSION = 1
BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Saved:
    """One run as the file has it."""

    seq: int
    run_id: str
    payload: str
    state: str
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One event as the file has it."""

    seq: int
    run_id: str
    name: str
    payload: Json


class Lock:
    """Held by the one process that runs a file. The kernel gives it back when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        # One store has one lock, by whatever links it is reached.
        self.store = path.resolve()
        self.path = self.store.with_name(self.store.name + ".lock")
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raise StoreLockedError where another process has it."""
        with explained(self.store):
            self._file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise StoreLockedError(
                f"{str(self.store)!r} is run by another process (pid {holder})",
                hint="stop that worker, or let it do the work: `trimtab run` hands its request over",
            ) from None
        # The lock is what counts; the number is for people, and a full disk has no room for it.
        with suppress(OSError):
            os.truncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), str(os.getpid()).encode())

    def give_back(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def connect(path: Path, facts: FactWriter) -> sqlite3.Connection:
    """Open the file for writing, making or migrating it where needed. Raises StoreBrokenError with the file's name."""
    with explained(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
        try:
            # Of a new file: results are a few KB, so larger pages mean fewer of them in the log.
            connection.execute("PRAGMA page_size=8192")
            _use_wal(connection)
            for pragma in ("synchronous=FULL", "wal_autocheckpoint=4000", "journal_size_limit=67108864"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            _migrate(connection, path)
            facts.migrate(connection)
            # A file that can be read but not written shows it here and not in the middle of a run.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait by itself where two processes make this change to a new file at once.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn what SQLite and the file system say into one error with the file's name."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error


def explain(error: Exception, path: Path) -> StoreBrokenError:
    """Say what a failure of the file means and what to do about it."""
    what = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    return StoreBrokenError(f"{str(path)!r}: {what}", hint=_advice(what, path))


def _advice(text: str, path: Path) -> str:
    kept, folder = "and start again: what was acknowledged is kept", str(path.parent)
    writable = "make the file and its folder writable for this user, or name another store"
    for part, advice in (
        ("full", f"free some space on the disk of {folder!r} {kept}"),
        ("No space", f"free some space on the disk of {folder!r} {kept}"),
        ("disk I/O", f"see that the disk of {folder!r} is sound and has room {kept}"),
        ("readonly", writable),
        ("Read-only", writable),
        ("Permission denied", writable),
        ("not a database", "this is no trimtab store; name another file"),
        ("malformed", "the file is damaged; restore a copy of it"),
        ("locked", "another program holds the file; close it and start again"),
        ("No such file", "make its folder, or name another store"),
        ("unable to open", "make its folder, or name another store"),
    ):
        if part in text:
            return advice
    return "see that the file and its folder can be read and written"


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise StoreBrokenError(
            f"{str(path)!r} was written by a newer trimtab (format {found}, this one knows {VERSION})",
            hint="upgrade trimtab on this machine",
        )
    if found == 0:
        connection.execute("BEGIN IMMEDIATE")
        # Read again under the lock: another process may have been faster.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _refuse_foreign(connection, path)
            statement = ""
            for line in resources.files(__package__ or "").joinpath("schema.sql").read_text().splitlines(keepends=True):
                statement += line
                if sqlite3.complete_statement(statement):
                    connection.execute(statement)
                    statement = ""
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute("ROLLBACK")
        raise StoreBrokenError(
            f"{str(path)!r} is a database of another program", hint="name another store: this one is left as it is"
        )


def insert_run(connection: sqlite3.Connection, run: NewRun) -> tuple[int, str, str]:
    """Add a run unless its key is known. Gives (seq, run id, fingerprint) of the run that has the key; seq 0 if it is old."""
    added = connection.execute(
        "INSERT INTO engine_run (run_id, workflow, key, fingerprint, payload) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
        (run.run_id, run.workflow, run.key, run.fingerprint, run.payload),
    )
    if added.rowcount:
        return added.lastrowid or 0, run.run_id, run.fingerprint
    known = connection.execute(
        "SELECT run_id, fingerprint FROM engine_run WHERE (workflow=? AND key=?) OR run_id=?",
        (run.workflow, run.key, run.run_id),
    ).fetchone()
    return 0, *known


def insert_event(connection: sqlite3.Connection, run_id: str, name: str, payload: Json) -> int:
    """Add an event unless the run has one of this name. Gives its seq, or 0."""
    added = connection.execute(
        "INSERT INTO engine_event (run_id, name, payload) VALUES (?,?,?) ON CONFLICT DO NOTHING",
        (run_id, name, dumps(payload)),
    )
    return (added.lastrowid or 0) if added.rowcount else 0


INSERT_STEP = "INSERT INTO engine_step VALUES (?,?,?)"


def set_standing(connection: sqlite3.Connection, seq: int, standing: Standing) -> None:
    """Write how a run stands."""
    state = "ended" if isinstance(standing, Ended) else "parked"
    connection.execute("UPDATE engine_run SET state=?, standing=? WHERE seq=?", (state, _write(standing), seq))


def load_run(connection: sqlite3.Connection, run_id: str) -> Saved | None:
    """Find one run."""
    row = connection.execute(f"{_RUNS} WHERE run_id=?", (run_id,)).fetchone()
    return _saved(row) if row else None


def load_state(connection: sqlite3.Connection, run_id: str) -> str | None:
    """Say how one run stands: open, parked, ended; None where there is no such run."""
    row = connection.execute("SELECT state FROM engine_run WHERE run_id=?", (run_id,)).fetchone()
    return row[0] if row else None


def unfinished(connection: sqlite3.Connection, after: int = 0) -> list[Saved]:
    """Every run accepted after `after` that has not ended, in order of acceptance."""
    rows = connection.execute(f"{_RUNS} WHERE state <> 'ended' AND seq > ? ORDER BY seq", (after,))
    return [_saved(row) for row in rows]


def load_steps(connection: sqlite3.Connection, seq: int) -> dict[str, Json]:
    """Every finished step of a run, in the order they were finished."""
    rows: Sequence[tuple[str, str]] = connection.execute(
        "SELECT name, result FROM engine_step WHERE run=? ORDER BY rowid", (seq,)
    ).fetchall()
    return {name: json.loads(result) for name, result in rows}


def load_events(connection: sqlite3.Connection, run_id: str) -> dict[str, Json]:
    """Everything that was delivered to a run."""
    rows: Sequence[tuple[str, str]] = connection.execute(
        "SELECT name, payload FROM engine_event WHERE run_id=?", (run_id,)
    ).fetchall()
    return {name: json.loads(payload) for name, payload in rows}


def events_after(connection: sqlite3.Connection, seq: int) -> list[Delivered]:
    """Events delivered after `seq`, by whichever process."""
    rows = connection.execute("SELECT seq, run_id, name, payload FROM engine_event WHERE seq > ? ORDER BY seq", (seq,))
    return [Delivered(n, run_id, name, json.loads(payload)) for n, run_id, name, payload in rows]


def last_event(connection: sqlite3.Connection) -> int:
    """The newest event's seq."""
    return connection.execute("SELECT coalesce(max(seq), 0) FROM engine_event").fetchone()[0]


_RUNS = "SELECT seq, run_id, payload, state, standing FROM engine_run"


def _saved(row: Sequence[Any]) -> Saved:
    seq, run_id, payload, state, standing = row
    return Saved(seq, run_id, payload, state, _read(state, standing) if standing else None)


def _write(standing: Standing) -> str:
    common = {"status": standing.status, "value": standing.value, "reason": standing.reason}
    match standing:
        case Ended():
            return dumps(common)
        case Parked():
            return dumps({**common, "events": sorted(standing.events), "until": standing.until})


def _read(state: str, text: str) -> Standing:
    saved = json.loads(text)
    status, value, reason = Status(saved["status"]), saved["value"], saved["reason"]
    if state == "ended":
        return Ended(status, value, reason)
    until = datetime.fromisoformat(saved["until"]) if saved["until"] else None
    return Parked(status, frozenset(saved["events"]), until, value, reason)
