"""The journal's schema grows by numbered files, each applied once and remembered with its checksum."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from trimtab.core.errors import StoreBrokenError

FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")

RECORDED = "SELECT number, name, checksum FROM journal_migration ORDER BY number"
HAS_JOURNAL = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'journal_migration'"
CREATE = """
CREATE TABLE IF NOT EXISTS journal_migration (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT
"""
RECORD = "INSERT INTO journal_migration (number, name, checksum) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: file `name`, and the SQL in it."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Name the SQL, so that a file changed after it was applied is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """Give the migrations that came with this trimtab, in order."""
    folder = files("trimtab.journal") / "migrations"
    found = ((FILE_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir())
    migrations = (Migration(int(m[1]), m[0], entry.read_text("utf-8")) for m, entry in found if m)
    return tuple(sorted(migrations, key=lambda m: m.number))


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply what is not applied yet, each migration in a transaction of its own. Call it outside of any transaction.

    Raises:
        StoreBrokenError: the file is no database, cannot be written, or was made by another line of migrations.
    """
    try:
        for migration in pending(connection, migrations):
            _apply(connection, migration, migrations)
    except sqlite3.Error as error:
        raise StoreBrokenError(
            f"{_file(connection)}: the journal cannot be brought up to date: {error}",
            hint="check that the file is trimtab's, that it can be written, and that the disk has room",
        ) from error


def pending(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> list[Migration]:
    """Say which migrations the file lacks; all of them where there is no journal yet.

    Raises:
        StoreBrokenError: the file records a migration that is unknown here, or that has changed since.
    """
    if not connection.execute(HAS_JOURNAL).fetchone()[0]:
        return list(migrations)
    known = {m.number: m for m in migrations}
    recorded: dict[int, tuple[str, str]] = {n: (name, checksum) for n, name, checksum in connection.execute(RECORDED)}
    for number, (name, checksum) in recorded.items():
        _check(_file(connection), number, name, checksum, known)
    return [m for m in migrations if m.number not in recorded]


def _file(connection: sqlite3.Connection) -> str:
    return repr(connection.execute("PRAGMA database_list").fetchone()[2] or ":memory:")


def _check(file: str, number: int, name: str, checksum: str, known: Mapping[int, Migration]) -> None:
    if number not in known:
        newest = known[max(known)].name
        raise StoreBrokenError(
            f"{file} was written by a newer trimtab: it has migration {name!r}, this trimtab knows up to {newest!r}",
            hint="upgrade trimtab (pip install --upgrade trimtab), or point `store` at another file",
        )
    if checksum != known[number].checksum:
        raise StoreBrokenError(
            f"{file} was made with another {name!r} than this trimtab's {known[number].name!r}",
            hint="install the trimtab that made the file, or point `store` at another file",
        )


def _apply(connection: sqlite3.Connection, migration: Migration, migrations: Sequence[Migration]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have been faster.
        if migration in pending(connection, migrations):
            connection.execute(CREATE)
            for statement in statements(migration.sql):
                connection.execute(statement)
            connection.execute(RECORD, (migration.number, migration.name, migration.checksum))
        connection.execute("COMMIT")
    except BaseException:
        # Some errors (a full disk) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def statements(sql: str) -> list[str]:
    """Split a script: `executescript` would commit the transaction that a migration must stand or fall with."""
    found: list[str] = []
    rest = ""
    for line in sql.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return [*found, rest] if rest.strip() else found
