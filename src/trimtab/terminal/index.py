"""The index of transcripts: an SQLite file in the cache folder with figures, names and ids, and no text of anybody.

It is a cache with one exception: the terminal deletes transcripts after 30 days, and what they said stays counted here. Rows have
keys of their own and are written whole file by whole file, so that two writers at once, or a reading that was interrupted, do no harm.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

_SHAPE = 1  # grows with index.sql: an index of another shape is made anew
_WAIT = 30.0  # seconds, for another writer


@dataclass(frozen=True, slots=True)
class Index:
    """An open index. `warnings` say what opening it came to."""

    connection: sqlite3.Connection
    path: Path | None
    warnings: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Write everything in the block, or nothing; waits for another writer."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def index_path(folder: Path, env: Mapping[str, str]) -> Path:
    """Say where the index of the terminal's folder (`~/.claude`) is: below XDG_CACHE_HOME, a file for each folder."""
    cache = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME") or Path.home(), ".cache")  # noqa: PTH118 - HOME is text
    name = blake2b(str(folder.resolve()).encode(errors="replace"), digest_size=6).hexdigest()
    return Path(cache) / "trimtab" / f"terminal-{name}.db"


def open_index(path: Path | None) -> Index:
    """Open the index at `path`, made where it is not there; None, or a place that cannot be written: one in memory.

    One that is damaged, or of another version, is put aside and made anew.
    """
    if path is None:
        return Index(_connect(":memory:"), None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        # One that somebody else could read is closed to them.
        path.chmod(0o600)
    except OSError as error:
        return _in_memory(path, error.strerror or str(error))
    try:
        return Index(_connect(str(path)), path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
            return _in_memory(path, str(error))
        return remade(path, str(error))


def remade(path: Path, why: str) -> Index:
    """Put a damaged index aside and open a new one."""
    aside = path.with_suffix(".broken")
    try:
        path.replace(aside)
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.touch(mode=0o600)
        told = f"the index was damaged ({why}) and is made anew; what only it knew of deleted transcripts is in {aside}"
        return Index(_connect(str(path)), path, (told,))
    except (OSError, sqlite3.Error) as error:
        return _in_memory(path, str(error))


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether an error says that the file is not what it must be, rather than busy, full or forbidden."""
    if not isinstance(error, sqlite3.OperationalError):
        return not isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError))
    return str(error).startswith("no such") or "malformed" in str(error)


def _in_memory(path: Path, why: str) -> Index:
    told = f"cannot keep an index at {path} ({why}): everything is read anew each time"
    return Index(_connect(":memory:"), None, (told,))


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if _shape(connection) == 0:
            _make(connection)
        if (shape := _shape(connection)) != _SHAPE:
            raise sqlite3.DatabaseError(f"it is of version {shape}, this is {_SHAPE}")  # noqa: TRY301 - closed below
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Another process may have been first.
        if _shape(connection) == 0:
            text = (files("trimtab.terminal") / "index.sql").read_text("utf-8")
            lines = (line.partition("--")[0] for line in text.splitlines())
            for statement in "\n".join(lines).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_SHAPE}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _shape(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]
