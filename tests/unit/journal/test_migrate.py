from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from trimtab.core.errors import StoreBrokenError
from trimtab.journal.migrate import Migration, migrate, pending, shipped, statements

FIRST = Migration(
    1,
    "0001_first.sql",
    "CREATE TABLE a (x TEXT) STRICT;\n-- said; twice\nCREATE TABLE b (x TEXT DEFAULT ';') STRICT;\n",
)
SECOND = Migration(2, "0002_second.sql", "ALTER TABLE a ADD COLUMN y TEXT;")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]


def test_shipped_migrations_are_numbered_without_gaps_and_end_with_a_semicolon():
    assert [m.number for m in shipped()] == list(range(1, len(shipped()) + 1))
    assert all(m.sql.rstrip().endswith(";") for m in shipped())


def test_each_migration_is_applied_once_and_recorded(connection: sqlite3.Connection):
    migrate(connection, [FIRST])
    migrate(connection, [FIRST, SECOND])
    migrate(connection, [FIRST, SECOND])
    recorded = connection.execute("SELECT number, name, checksum FROM journal_migration").fetchall()
    assert recorded == [(m.number, m.name, m.checksum) for m in (FIRST, SECOND)]
    assert tables(connection) == ["a", "b", "journal_migration"]


@pytest.mark.parametrize("isolation_level", [None, "IMMEDIATE"])
def test_any_transaction_mode_of_the_connection_will_do(tmp_path: Path, isolation_level: Literal["IMMEDIATE"] | None):
    one = sqlite3.connect(tmp_path / "a.db", isolation_level=isolation_level)
    migrate(one, [FIRST, SECOND])
    one.close()
    other = sqlite3.connect(tmp_path / "a.db")
    assert pending(other, [FIRST, SECOND]) == []
    other.close()


def test_a_migration_that_fails_leaves_nothing_behind(connection: sqlite3.Connection):
    broken = Migration(2, "0002_broken.sql", "CREATE TABLE c (x TEXT);\nCREATE TABLE a (x TEXT);")
    with pytest.raises(StoreBrokenError, match="the journal cannot be brought up to date: table a already exists"):
        migrate(connection, [FIRST, broken])
    assert tables(connection) == ["a", "b", "journal_migration"]
    assert pending(connection, [FIRST, broken]) == [broken]


def test_a_file_of_a_newer_trimtab_is_refused(connection: sqlite3.Connection):
    migrate(connection, [FIRST, SECOND])
    with pytest.raises(StoreBrokenError) as caught:
        migrate(connection, [FIRST])
    assert str(caught.value) == (
        "':memory:' was written by a newer trimtab: it has migration '0002_second.sql', this trimtab knows up to '0001_first.sql'\n"
        "hint: upgrade trimtab (pip install --upgrade trimtab), or point `store` at another file"
    )


def test_a_migration_changed_after_it_was_applied_is_refused(connection: sqlite3.Connection):
    migrate(connection, [FIRST])
    with pytest.raises(
        StoreBrokenError, match=r"was made with another '0001_first.sql' than this trimtab's '0001_first.sql'"
    ):
        migrate(connection, [Migration(1, FIRST.name, FIRST.sql + "-- changed")])


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    path = tmp_path / "notes.db"
    path.write_text("dear diary, " * 100)
    connection = sqlite3.connect(path)
    with pytest.raises(
        StoreBrokenError, match=r"notes.db': the journal cannot be brought up to date: file is not a database"
    ):
        migrate(connection, [FIRST])
    connection.close()


def test_somebody_elses_table_is_not_taken_over(connection: sqlite3.Connection):
    connection.execute("CREATE TABLE run (id INTEGER)")
    with pytest.raises(StoreBrokenError, match="table run already exists"):
        migrate(connection, shipped())


def test_a_script_is_split_at_the_end_of_its_statements_only():
    assert [s.strip() for s in statements(FIRST.sql)] == [
        "CREATE TABLE a (x TEXT) STRICT;",
        "-- said; twice\nCREATE TABLE b (x TEXT DEFAULT ';') STRICT;",
    ]
    assert statements("SELECT 1") == ["SELECT 1"]
