"""The embedded engine: one process, one SQLite file, no server.

A run is a coroutine that does named steps. Each step's result commits with its facts in one transaction; after a crash the
run is replayed and finished steps answer from the file. A run with nothing to do is dropped from memory and replayed when
its event arrives. See docs/decisions/0001-engine.md for why this is ours.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError, to_json

from trimtab.core.errors import KeyReusedError, StoreBrokenError, StoreError, UnknownRunError
from trimtab.core.ports import Clock, Conductor, FactWriter, NewRun, Parked, Standing, StepWork, Worked
from trimtab.core.records import Fact
from trimtab.core.values import Json, dumps
from trimtab.engine import store
from trimtab.engine.writer import GroupWriter, Write

CANCEL = "cancel"
Waiter: TypeAlias = "tuple[bool, asyncio.Future[Standing]]"


@dataclass(slots=True)
class _Live:
    """A run in memory."""

    seq: int
    run_id: str
    payload: str
    replay: bool
    events: dict[str, Json] = field(default_factory=dict[str, Json])
    task: asyncio.Task[None] | None = None
    performing: bool = False


class RunSteps:
    """`core.ports.Steps` for one execution of one run."""

    def __init__(self, live: _Live, known: dict[str, Json], writer: GroupWriter, clock: Clock) -> None:
        self.run_id = live.run_id
        self._live = live
        self._known = known
        self._writer = writer
        self._clock = clock

    async def step(self, name: str, work: StepWork, *, effect: bool = False) -> Json:
        """Do `work` once, whatever crashes."""
        if name in self._known:
            return self._known[name]
        if effect:
            return await _finished(self._do(name, work))
        return await self._do(name, work)

    async def _do(self, name: str, work: StepWork) -> Json:
        worked: Worked = await work()
        row = (self._live.seq, name, _text(worked.result))
        await self._writer.commit(Write(step=row, facts=worked.facts))
        return worked.result

    def record(self, *facts: Fact) -> None:
        """Write facts without waiting."""
        self._writer.post(Write(facts=facts))

    async def sleep_until(self, at: datetime) -> None:
        """Wait for a journaled time."""
        await self._clock.sleep_until(at)

    def event(self, name: str) -> Json:
        """Give what was delivered under `name`."""
        return self._live.events.get(name)

    def count_events(self, prefix: str) -> int:
        """Count what was delivered under names that start so."""
        return sum(name.startswith(prefix) for name in self._live.events)


class EmbeddedEngine:
    """Implements `core.ports.Engine`. `start` before use, `close` after; `running_limit` runs are worked on at once."""

    def __init__(
        self, path: Path, conductor: Conductor, facts: FactWriter, clock: Clock, *, running_limit: int = 256
    ) -> None:
        self.path = path
        self._conductor = conductor
        self._facts = facts
        self._clock = clock
        self._limit = running_limit
        self._lock = store.Lock(path)
        self._writer: GroupWriter
        self._queue: deque[_Live] = deque()
        self._live: dict[str, _Live] = {}
        self._parked: dict[str, tuple[int, frozenset[str]]] = {}
        self._timers: list[tuple[datetime, str]] = []
        self._timers_changed = asyncio.Event()
        self._waiters: dict[str, list[Waiter]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unended: set[str] = set()
        self._own_events: set[int] = set()
        self._seen_run = 0
        self._seen_event = 0
        self._closing = False
        self.broken: asyncio.Future[None]

    @property
    def unfinished(self) -> int:
        """How many runs this process knows of that have not ended."""
        return len(self._unended)

    async def start(self) -> None:
        """Take the file and go on with every unfinished run. Raises StoreLockedError or StoreBrokenError."""
        self._lock.take()
        try:
            connection = store.connect(self.path, self._facts)
            with store.explained(self.path):
                self._seen_event = store.last_event(connection)
                for saved in store.unfinished(connection):
                    self._take_up(saved, store.load_events(connection, saved.run_id))
        except BaseException:
            self._lock.give_back()
            raise
        self.broken = asyncio.get_running_loop().create_future()
        self._writer = GroupWriter(
            connection, self._facts, on_foreign=self._look, on_broken=self._break, explain=self._explain
        )
        self._spawn(self._watch_timers())
        self._pump()

    async def close(self) -> None:
        """Stop; unfinished runs go on at the next start. An effect under way is waited for."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.close()
        self._lock.give_back()
        self._fail_waiters(
            StoreError(f"{str(self.path)!r} was closed before the run settled", hint="it goes on at the next start")
        )
        if self.broken.done():
            self.broken.exception()  # seen: whoever cared has waited for it

    async def accept(self, run: NewRun) -> str:
        """Make a run durable and start it."""

        def begin(accepted: tuple[int, str, str]) -> None:
            seq, run_id, _ = accepted
            if seq:
                self._unended.add(run_id)
                self._enqueue(_Live(seq, run_id, run.payload, replay=False))

        _, run_id, fingerprint = await self._writer.commit(Write(change=lambda c: _accept(c, run, self._facts)), begin)
        check_key(run, fingerprint)
        return run_id

    async def settled(self, run_id: str, *, final: bool = False) -> Standing:
        """Wait until the run ended or (unless `final`) waits for somebody."""
        if self.broken.done():
            self.broken.result()
        waiter: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(run_id, []).append((final, waiter))
        if run_id not in self._live:
            saved = await self._writer.commit(Write(change=lambda c: store.load_run(c, run_id)))
            if saved is None:
                self._waiters.pop(run_id, None)
                raise _unknown(run_id)
            if saved.standing and (saved.state == "ended" or (run_id in self._parked and not final)):
                self._tell(run_id, saved.standing)
        return await waiter

    async def deliver(self, run_id: str, event: str, payload: Json) -> bool:
        """Hand over an event, once."""
        state, seq = await self._hand_over(run_id, event, payload)
        if state is None:
            raise _unknown(run_id)
        return bool(seq)

    async def cancel(self, run_id: str, by: str) -> bool:
        """End a run before its time."""
        state, _ = await self._hand_over(run_id, CANCEL, by)
        if state is None:
            raise _unknown(run_id)
        return state != "ended"

    async def _hand_over(self, run_id: str, event: str, payload: Json) -> tuple[str | None, int]:
        def arrive(handed: tuple[str | None, int]) -> None:
            if seq := handed[1]:
                self._own_events.add(seq)
                self._arrived(run_id, event, payload)

        return await self._writer.commit(Write(change=lambda c: _insert_event(c, run_id, event, payload)), arrive)

    # -- runs ------------------------------------------------------------------------------------------------------

    def _take_up(self, saved: store.Saved, events: dict[str, Json]) -> None:
        self._seen_run = max(self._seen_run, saved.seq)
        if saved.run_id in self._unended:
            return
        self._unended.add(saved.run_id)
        standing = saved.standing
        if saved.state == "parked" and isinstance(standing, Parked) and not _due(standing, events, self._clock.now()):
            self._park(saved.seq, saved.run_id, standing)
        else:
            self._queue.append(_Live(saved.seq, saved.run_id, saved.payload, replay=True, events=events))

    def _enqueue(self, live: _Live) -> None:
        self._queue.append(live)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._live) < self._limit and not self._closing:
            live = self._queue.popleft()
            if live.run_id not in self._live:
                self._live[live.run_id] = live
                live.task = self._spawn(self._run(live))

    async def _run(self, live: _Live) -> None:
        try:
            standing = await self._perform(live)
            try:
                await self._writer.commit(_standing_write(live.seq, standing))
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - a standing that cannot be written is a fault in the run's code, as below
                standing = self._conductor.broken(live.run_id, live.payload, error)
                await self._writer.commit(_standing_write(live.seq, standing))
        except (asyncio.CancelledError, StoreError):
            # The process is stopping or the file is broken: the run stays as the file has it.
            self._live.pop(live.run_id, None)
            return
        del self._live[live.run_id]
        if isinstance(standing, Parked):
            if _due(standing, live.events, self._clock.now()):
                self._again(live.seq, live.run_id)
            else:
                self._park(live.seq, live.run_id, standing)
        else:
            self._unended.discard(live.run_id)
        self._tell(live.run_id, standing)
        self._pump()

    async def _perform(self, live: _Live) -> Standing:
        known: dict[str, Json] = {}
        if live.replay:
            known = await self._writer.commit(Write(change=lambda c: store.load_steps(c, live.seq)))
        if CANCEL in live.events:
            return self._conductor.cancelled(live.run_id, live.payload, str(live.events[CANCEL]))
        live.performing = True
        try:
            return await self._conductor.perform(RunSteps(live, known, self._writer, self._clock), live.payload)
        except asyncio.CancelledError:
            if self._closing:
                raise
            if CANCEL in live.events:
                return self._conductor.cancelled(live.run_id, live.payload, str(live.events[CANCEL]))
            error = RuntimeError("the run's own code cancelled it")
            return self._conductor.broken(live.run_id, live.payload, error)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault in one run's code must not take the worker with it
            return self._conductor.broken(live.run_id, live.payload, error)
        finally:
            live.performing = False

    def _again(self, seq: int, run_id: str) -> None:
        async def reload() -> None:
            with suppress(StoreError):  # told by `broken`
                saved, events = await self._writer.commit(
                    Write(change=lambda c: (store.load_run(c, run_id), store.load_events(c, run_id)))
                )
                self._enqueue(_Live(seq, run_id, saved.payload, replay=True, events=events))

        if not self._closing:
            self._spawn(reload())

    def _park(self, seq: int, run_id: str, standing: Parked) -> None:
        self._parked[run_id] = (seq, standing.events)
        if standing.until is not None:
            heapq.heappush(self._timers, (standing.until, run_id))
            self._timers_changed.set()

    def _unpark(self, run_id: str) -> None:
        if parked := self._parked.pop(run_id, None):
            self._again(parked[0], run_id)

    def _arrived(self, run_id: str, event: str, payload: Json) -> None:
        live = self._live.get(run_id)
        if live is not None:
            live.events[event] = payload
            if event == CANCEL and live.performing and live.task is not None:
                live.task.cancel()
        elif run_id in self._parked and (event == CANCEL or event in self._parked[run_id][1]):
            self._unpark(run_id)
        else:
            for queued in self._queue:
                if queued.run_id == run_id:
                    queued.events[event] = payload

    async def _watch_timers(self) -> None:
        while True:
            self._timers_changed.clear()
            waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._timers_changed.wait())]
            if self._timers:
                waits.append(asyncio.ensure_future(self._clock.sleep_until(self._timers[0][0])))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            while self._timers and self._timers[0][0] <= self._clock.now():
                self._unpark(heapq.heappop(self._timers)[1])

    # -- others ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        # Another process changed the file: it handed in a run or an event.
        async def look() -> None:
            try:
                runs, events = await self._writer.commit(
                    Write(
                        change=lambda c: (store.unfinished(c, self._seen_run), store.events_after(c, self._seen_event))
                    )
                )
            except StoreError:
                return  # told by `broken`
            for saved in runs:
                self._take_up(saved, {})
            for event in events:
                self._seen_event = max(self._seen_event, event.seq)
                if event.seq in self._own_events:
                    self._own_events.discard(event.seq)
                    continue
                self._arrived(event.run_id, event.name, event.payload)
            self._pump()

        if not self._closing:
            self._spawn(look())

    def _tell(self, run_id: str, standing: Standing) -> None:
        left: list[Waiter] = []
        for final, waiter in self._waiters.pop(run_id, []):
            if final and isinstance(standing, Parked):
                left.append((final, waiter))
            elif not waiter.done():
                waiter.set_result(standing)
        if left:
            self._waiters[run_id] = left

    def _explain(self, error: Exception) -> StoreBrokenError:
        return store.explain(error, self.path)

    def _break(self, error: StoreBrokenError) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)
        self._fail_waiters(error)

    def _fail_waiters(self, error: StoreError) -> None:
        for waiters in self._waiters.values():
            for _, waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
        self._waiters.clear()

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def hand_in(path: Path, facts: FactWriter, change: Callable[[Any], Any]) -> Any:
    """Do one change to a file that another process runs; its worker notices within a tenth of a second."""
    connection = store.connect(path, facts)
    try:
        with store.explained(path):
            connection.execute("BEGIN IMMEDIATE")
            given = change(connection)
            connection.execute("COMMIT")
    finally:
        connection.close()
    return given


def hand_in_run(path: Path, facts: FactWriter, run: NewRun) -> str:
    """Accept a run for the process that runs the file. Raises KeyReusedError."""
    _, run_id, fingerprint = hand_in(path, facts, lambda c: _accept(c, run, facts))
    check_key(run, fingerprint)
    return run_id


def hand_in_event(path: Path, facts: FactWriter, run_id: str, event: str, payload: Json) -> bool:
    """Deliver an event by way of the file. Raises UnknownRunError."""
    state, seq = hand_in(path, facts, lambda c: _insert_event(c, run_id, event, payload))
    if state is None:
        raise _unknown(run_id)
    return bool(seq)


def _insert_event(connection: Any, run_id: str, event: str, payload: Json) -> tuple[str | None, int]:
    # Gives the state of the run (None: there is none) and the seq of the event (0: it was not added).
    state = store.load_state(connection, run_id)
    added = state is not None and not (event == CANCEL and state == "ended")
    return state, store.insert_event(connection, run_id, event, payload) if added else 0


def _unknown(run_id: str) -> UnknownRunError:
    return UnknownRunError(f"no run {run_id!r}", hint="trimtab runs list")


def check_key(run: NewRun, fingerprint: str) -> None:
    """Raise KeyReusedError where the key belongs to a different request."""
    if fingerprint != run.fingerprint:
        raise KeyReusedError(
            f"key {run.key!r} of {run.workflow!r} started a different request before",
            hint="give each request a key of its own, or leave the key out",
        )


def _accept(connection: Any, run: NewRun, facts: FactWriter) -> tuple[int, str, str]:
    known = store.insert_run(connection, run)
    if known[0]:
        facts.write(connection, run.facts)
    return known


def _standing_write(seq: int, standing: Standing) -> Write:
    return Write(facts=standing.facts, change=lambda c: store.set_standing(c, seq, standing))


def _due(standing: Parked, events: dict[str, Json], now: datetime) -> bool:
    if CANCEL in events or not standing.events.isdisjoint(events):
        return True
    return standing.until is not None and standing.until <= now


def _text(result: Json) -> str:
    # pydantic's writer is five times as fast as json's on some KB, but it refuses half of a surrogate pair.
    try:
        return to_json(result, inf_nan_mode="constants").decode()
    except PydanticSerializationError:
        return dumps(result)


async def _finished(work: Any) -> Json:
    # An effect is let finish and is committed, however often its run is cancelled meanwhile.
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not task.cancelled():
            task.exception()  # seen: the run is being cancelled anyway
        raise asyncio.CancelledError
    return task.result()
