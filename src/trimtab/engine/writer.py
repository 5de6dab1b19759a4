"""One thread that owns the connection and commits in groups: while one commit reaches the disk, the next batch gathers."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from trimtab.core.errors import StoreBrokenError, StoreError
from trimtab.core.ports import FactWriter
from trimtab.core.records import Fact
from trimtab.engine.store import INSERT_STEP

POLL_SECONDS = 0.1
BATCH = 2_000

StepRow: TypeAlias = tuple[int, str, str]
Change: TypeAlias = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class Write:
    """What must be committed together. `done` is resolved, with what `change` gave, when it is on the disk.

    `refused` is what is wrong with this write where its own content kept it off the disk.
    """

    step: StepRow | None = None
    facts: Sequence[Fact] = ()
    change: Change | None = None
    done: asyncio.Future[Any] | None = None
    given: Any = None
    refused: Exception | None = None


class GroupWriter:
    """Runs every write of a process. `on_foreign` is called in the loop when another process changed the file.

    `on_broken` is called in the loop once, when the file failed: nothing is written after that. A write whose own content
    cannot be written (a duplicate step name, no JSON) is refused to its owner and harms nobody else.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        facts: FactWriter,
        *,
        on_foreign: Callable[[], None],
        on_broken: Callable[[StoreBrokenError], None],
        explain: Callable[[Exception], StoreBrokenError],
    ) -> None:
        self._connection = connection
        self._facts = facts
        self._on_foreign = on_foreign
        self._on_broken = on_broken
        self._explain = explain
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._broken: StoreBrokenError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="trimtab-writer", daemon=True)
        self._thread.start()

    async def commit(self, write: Write, then: Callable[[Any], None] | None = None) -> Any:
        """Write and return when it is durable. `then` gets what is returned, even if the caller is cancelled meanwhile."""
        if self._broken:
            raise self._broken
        if self._closed:
            raise StoreError("the store was closed", hint="start the worker again")
        done = write.done = self._loop.create_future()
        self._queue.put(write)
        if then is None:
            return await done
        done.add_done_callback(lambda d: None if d.exception() else then(d.result()))
        return await asyncio.shield(done)

    def post(self, write: Write) -> None:
        """Write without waiting; it is durable before anything given later is."""
        self._queue.put(write)

    async def close(self) -> None:
        """Commit what was given and end the thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _work(self) -> None:
        seen = -1  # so that what was handed in while the engine started is looked for
        open_ = True
        while open_:
            batch, open_ = self._gather()
            if batch:
                self._commit(batch)
                self._call(self._resolve, batch, self._broken)
            version = self._version()
            if version != seen:
                seen = version
                self._call(self._on_foreign)

    def _gather(self) -> tuple[list[Write], bool]:
        batch: list[Write] = []
        try:
            write = self._queue.get(timeout=POLL_SECONDS)
            while write is not None:
                batch.append(write)
                if len(batch) == BATCH:
                    return batch, True
                write = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[Write]) -> None:
        if self._broken:
            return
        try:
            self._transact(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, the batch is not on the disk and its owners must hear of it
            if _of_file(error):
                self._break(error)
            elif len(batch) > 1:
                for write in batch:
                    self._commit([write])
            else:
                batch[0].refused = error

    def _transact(self, batch: list[Write]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT_STEP, [w.step for w in batch if w.step is not None])
            self._facts.write(connection, [fact for w in batch for fact in w.facts])
            for write in batch:
                if write.change is not None:
                    write.given = write.change(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.rollback()
            raise

    def _break(self, error: Exception) -> None:
        self._broken = self._explain(error)
        self._call(self._on_broken, self._broken)

    def _resolve(self, batch: list[Write], broken: StoreBrokenError | None) -> None:
        for write in batch:
            failure = write.refused or broken
            if write.done is None:
                if write.refused:
                    self._loop.call_exception_handler({"message": "facts were refused", "exception": write.refused})
            elif write.done.done():
                continue
            elif failure:
                write.done.set_exception(failure)
            else:
                write.done.set_result(write.given)

    def _version(self) -> int:
        try:
            return self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return 0

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        # A loop that is gone has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)


def _of_file(error: Exception) -> bool:
    # Other errors of SQLite and of Python are about what was to be written.
    of_file = isinstance(error, OSError | MemoryError | sqlite3.OperationalError | sqlite3.InternalError)
    return of_file or type(error) is sqlite3.DatabaseError
