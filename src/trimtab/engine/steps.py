"""One execution of one run, as its code sees it: named steps, events, waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from trimtab.core.ports import Begun, Clock, OnceWork, StepWork, Worked
from trimtab.core.records import Fact
from trimtab.core.values import Json, dumps
from trimtab.engine.writer import GroupWriter, Write

# What `once` writes before the work is a step of its own, named so.
BEGUN = "/begun"


@dataclass(slots=True)
class Live:
    """A run in memory. `unwinding`: it was performed knowing that it is cancelled."""

    seq: int
    run_id: str
    payload: str
    replay: bool
    events: dict[str, Json] = field(default_factory=dict[str, Json])
    task: asyncio.Task[None] | None = None
    performing: bool = False
    unwinding: bool = False


class RunSteps:
    """`core.ports.Steps` for one execution of one run."""

    def __init__(self, live: Live, known: dict[str, Json], writer: GroupWriter, clock: Clock) -> None:
        self.run_id = live.run_id
        self._live = live
        self._known = known
        self._begun = [
            Begun(name.removesuffix(BEGUN), begin, known.get(name.removesuffix(BEGUN)))
            for name, begin in known.items()
            if name.endswith(BEGUN)
        ]
        self._writer = writer
        self._clock = clock

    async def step(self, name: str, work: StepWork) -> Json:
        """Do `work`; its result is kept."""
        if name in self._known:
            return self._known[name]
        return await self._keep(name, await work())

    async def once(self, name: str, begin: Worked, work: OnceWork, *, shielded: bool) -> Json:
        """Do `work` knowing whether it was begun before; its result is kept."""
        if name in self._known:
            return self._known[name]
        done = self._once(name, begin, work)
        return await (_finished(done) if shielded else done)

    async def _once(self, name: str, begin: Worked, work: OnceWork) -> Json:
        place = next((n for n, begun in enumerate(self._begun) if begun.name == name), None)
        found = place is not None
        if place is None:
            place = len(self._begun)
            self._begun.append(Begun(name, begin.result, None))
            await self._keep(name + BEGUN, begin)
        result = await self._keep(name, await work(found))
        self._begun[place] = Begun(name, self._begun[place].begin, result)
        return result

    async def _keep(self, name: str, worked: Worked) -> Json:
        row = (self._live.seq, name, _text(worked.result))
        await self._writer.commit(Write(step=row, facts=worked.facts))
        return worked.result

    def known(self, name: str) -> Json:
        """Give the result of a step that was finished in an earlier life, or of one done with `once`."""
        found = next((b.result for b in self._begun if b.name == name), None)
        return self._known.get(name, found)

    def begun(self) -> list[Begun]:
        """Give what was begun with `once`, in order."""
        return list(self._begun)

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
