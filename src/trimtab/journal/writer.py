"""Writes facts to SQLite. The hot path: every step of every run waits for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

from trimtab.core.records import Fact
from trimtab.journal.columns import TABLES, Convert, Table, encodable, kept, names
from trimtab.journal.migrate import migrate, shipped

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Insert:
    """How one class of facts is written: worked out once, at import."""

    sql: str
    values: Callable[[Any], Row]
    converters: tuple[tuple[int, Convert], ...]

    @classmethod
    def of(cls, fact: type[Fact], table: Table) -> _Insert:
        columns = names(fact)
        marks, key = ", ".join("?" * len(columns)), ", ".join(table.key)
        # Not OR IGNORE: that drops a row with a missing value without a word. Only "written before" is fine.
        sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT ({key}) DO NOTHING"  # noqa: S608 - names of ours
        converters = tuple((index, column.write) for index, column in enumerate(kept(fact)) if column.write)
        return cls(sql, attrgetter(*columns), converters)

    def rows(self, facts: Iterable[Fact]) -> Iterable[Row]:
        # Column by column keeps the loops in C: only the columns that need it are touched.
        columns: list[Iterable[object]] = list(zip(*map(self.values, facts), strict=True))
        for index, convert in self.converters:
            columns[index] = map(convert, columns[index])
        return zip(*columns, strict=True)


_INSERTS: dict[type[Fact], _Insert] = {fact: _Insert.of(fact, table) for fact, table in TABLES.items()}


class SqliteFacts:
    """Writes facts over the engine's connection, in the transaction that the engine opened (`core.ports.FactWriter`)."""

    def migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the journal's tables up to date; call it outside of a transaction. Raises StoreBrokenError."""
        migrate(connection, shipped())

    def write(self, connection: sqlite3.Connection, facts: Sequence[Fact]) -> None:
        """Insert the facts that are not there yet. Errors of SQLite are the engine's: it knows what else it wrote."""
        groups: dict[type[Fact], list[Fact]] = {}
        for fact in facts:
            groups.setdefault(type(fact), []).append(fact)
        for kind, group in groups.items():
            insert = _INSERTS[kind]
            try:
                connection.executemany(insert.sql, insert.rows(group))
            except UnicodeEncodeError:
                # A model may say half of a surrogate pair; that must not lose the facts of everybody in this commit.
                connection.executemany(insert.sql, map(_encodable, insert.rows(group)))


def _encodable(row: Row) -> Row:
    return tuple(encodable(value) if isinstance(value, str) else value for value in row)
