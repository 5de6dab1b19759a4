"""The outbox: every message, written in the transaction of the call that wrote it, sent after."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `reader` is the role whose eyes count; `link` is personal, for its addressees alone."""

    reader: str
    channel: str
    language: str
    template: str
    fields: Mapping[str, Any]
    addresses: tuple[str, ...] = ()
    contact: str | None = None
    persons: tuple[str, ...] = ()
    body: str | None = None
    asks: tuple[str, ...] = ()
    expects: str = "nothing"
    booking_id: str | None = None
    link: str | None = None
    key: str = ""
    subtask: str = ""
    n: int = 0
    state: str = field(default="queued")


class Outbox:
    """The message table of an open transaction."""

    def __init__(self, db: sqlite3.Connection, run_id: str, subtask: str, key: str) -> None:
        self._db = db
        self._of = (run_id, subtask, key)

    def add(self, message: Message, once_key: str) -> tuple[int, bool]:
        """Queue a message; gives its number, and whether it is new. E-mail waits to be sent, the rest is posted at once."""
        first = self._db.execute("SELECT n FROM outbox WHERE once_key = ?", (once_key,)).fetchone()
        if first:
            return first["n"], False
        run_id, subtask, key = self._of
        row = (
            *(key, once_key, run_id, subtask, message.reader, message.contact, json.dumps(message.persons)),
            *(json.dumps(message.addresses), message.channel, message.language, message.template, message.body),
            *(
                json.dumps(dict(message.fields)),
                json.dumps(message.asks),
                message.expects,
                message.booking_id,
                message.link,
            ),
            "queued" if message.channel == "email" and message.addresses else "posted",
        )
        cursor = self._db.execute(
            """INSERT INTO outbox (key, once_key, run_id, subtask, reader, contact, persons, addresses, channel, language,
               template, body, fields, asks, expects, booking_id, link, state)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            row,
        )
        return cursor.lastrowid or 0, True

    def messages(self, *, queued_by: str | None = None) -> list[Message]:
        """Every message, or those that a call queued and nobody sent yet."""
        if queued_by is None:
            return [_message(row) for row in self._db.execute("SELECT * FROM outbox ORDER BY n")]
        rows = self._db.execute("SELECT * FROM outbox WHERE key = ? AND state = 'queued' ORDER BY n", (queued_by,))
        return [_message(row) for row in rows]

    def sent(self, n: int) -> None:
        """Note that a message went out."""
        self._db.execute("UPDATE outbox SET state = 'sent' WHERE n = ?", (n,))


def _message(row: sqlite3.Row) -> Message:
    return Message(
        reader=row["reader"],
        channel=row["channel"],
        language=row["language"],
        template=row["template"],
        fields=json.loads(row["fields"]),
        addresses=tuple(json.loads(row["addresses"])),
        contact=row["contact"],
        persons=tuple(json.loads(row["persons"])),
        body=row["body"],
        asks=tuple(json.loads(row["asks"])),
        expects=row["expects"],
        booking_id=row["booking_id"],
        link=row["link"],
        key=row["key"],
        subtask=row["subtask"],
        n=row["n"],
        state=row["state"],
    )
