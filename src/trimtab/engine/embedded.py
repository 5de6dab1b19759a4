"""The embedded engine: one process, one SQLite file, no server.

A run is a coroutine that does named steps. Each step's result commits with its facts in one transaction; after a crash the
run is replayed and finished steps answer from the file. A run with nothing to do is dropped from memory and replayed when
its event arrives. See docs/decisions/0001-engine.md for why this is ours.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from trimtab.core.errors import StoreBrokenError, StoreError
from trimtab.core.outcome import Status
from trimtab.core.ports import CANCEL, Clock, Conductor, FactWriter, NewRun, Parked, Standing
from trimtab.core.records import Fact
from trimtab.core.values import Json
from trimtab.engine import store
from trimtab.engine.handin import Event, accept_run, add_event, check_key, unknown
from trimtab.engine.steps import Live, RunSteps
from trimtab.engine.writer import GroupWriter, Write

Waiter: TypeAlias = "tuple[Collection[Status], asyncio.Future[Standing]]"


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
        self._queue: deque[Live] = deque()
        self._live: dict[str, Live] = {}
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
                self._enqueue(Live(seq, run_id, run.payload, replay=False))

        _, run_id, fingerprint = await self._writer.commit(
            Write(change=lambda c: accept_run(c, run, self._facts)), begin
        )
        check_key(run, fingerprint)
        return run_id

    async def settled(self, run_id: str, *, through: Collection[Status] = ()) -> Standing:
        """Wait until the run ended, or waits with a status that is not among `through`."""
        if self.broken.done():
            self.broken.result()
        waiter: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(run_id, []).append((through, waiter))
        if run_id not in self._live:
            saved = await self._writer.commit(Write(change=lambda c: store.load_run(c, run_id)))
            if saved is None:
                self._waiters.pop(run_id, None)
                raise unknown(run_id)
            here = saved.state == "ended" or run_id in self._parked
            if saved.standing and here and not _passes(saved.standing, through):
                self._tell(run_id, saved.standing)
        return await waiter

    async def deliver(self, run_id: str, event: str, payload: Json, facts: Sequence[Fact] = ()) -> bool:
        """Hand over an event, once."""
        state, seq = await self._hand_over(Event(run_id, event, payload, facts))
        if state is None:
            raise unknown(run_id)
        return bool(seq)

    async def cancel(self, run_id: str, by: str) -> bool:
        """End a run before its time."""
        state, _ = await self._hand_over(Event(run_id, CANCEL, by))
        if state is None:
            raise unknown(run_id)
        return state != "ended"

    async def _hand_over(self, event: Event) -> tuple[str | None, int]:
        def arrive(handed: tuple[str | None, int]) -> None:
            if seq := handed[1]:
                self._own_events.add(seq)
                self._arrived(event.run_id, event.name, event.payload)

        return await self._writer.commit(Write(change=lambda c: add_event(c, event, self._facts)), arrive)

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
            self._queue.append(Live(saved.seq, saved.run_id, saved.payload, replay=True, events=events))

    def _enqueue(self, live: Live) -> None:
        self._queue.append(live)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._live) < self._limit and not self._closing:
            live = self._queue.popleft()
            if live.run_id not in self._live:
                self._live[live.run_id] = live
                live.task = self._spawn(self._run(live))

    async def _run(self, live: Live) -> None:
        try:
            standing = await self._perform(live)
            try:
                await self._writer.commit(_standing_write(live.seq, standing))
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - a standing that cannot be written is a fault in the run's code, as below
                standing = await self._conductor.broken(await self._steps(live), live.payload, error)
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

    async def _perform(self, live: Live) -> Standing:
        while True:
            steps = await self._steps(live)
            live.performing, live.unwinding = True, CANCEL in live.events
            try:
                return await self._conductor.perform(steps, live.payload)
            except asyncio.CancelledError:
                if self._closing:
                    raise
                if CANCEL in live.events and not live.unwinding:
                    continue  # interrupted, so that it takes back what it did
                error: Exception = RuntimeError("the run's own code cancelled it")
            except (StoreError, KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as raised:  # noqa: BLE001 - a fault in one run's code must not take the worker with it
                error = raised if isinstance(raised, Exception) else RuntimeError(f"{type(raised).__name__}: {raised}")
            finally:
                live.performing = False
            return await self._conductor.broken(await self._steps(live), live.payload, error)

    async def _steps(self, live: Live) -> RunSteps:
        known: dict[str, Json] = {}
        if live.replay:
            known = await self._writer.commit(Write(change=lambda c: store.load_steps(c, live.seq)))
        live.replay = True
        return RunSteps(live, known, self._writer, self._clock)

    def _again(self, seq: int, run_id: str) -> None:
        async def reload() -> None:
            with suppress(StoreError):  # told by `broken`
                saved, events = await self._writer.commit(
                    Write(change=lambda c: (store.load_run(c, run_id), store.load_events(c, run_id)))
                )
                self._enqueue(Live(seq, run_id, saved.payload, replay=True, events=events))

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
            if event == CANCEL and live.performing and not live.unwinding and live.task is not None:
                live.task.cancel()
        elif run_id in self._parked and event in self._parked[run_id][1]:
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
        for through, waiter in self._waiters.pop(run_id, []):
            if _passes(standing, through):
                left.append((through, waiter))
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


def _standing_write(seq: int, standing: Standing) -> Write:
    return Write(facts=standing.facts, change=lambda c: store.set_standing(c, seq, standing))


def _passes(standing: Standing, through: Collection[Status]) -> bool:
    return isinstance(standing, Parked) and standing.status in through


def _due(standing: Parked, events: dict[str, Json], now: datetime) -> bool:
    if not standing.events.isdisjoint(events):
        return True
    return standing.until is not None and standing.until <= now
