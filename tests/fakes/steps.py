"""A run's engine in memory: nothing is durable, everything is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trimtab.core.ports import Begun, OnceWork, StepWork, Worked
from trimtab.core.records import Fact
from trimtab.core.values import Json


class FakeSteps:
    """`core.ports.Steps`. `done` holds step results by name, `facts` everything written, `waits` the times slept until."""

    def __init__(self, events: Mapping[str, Any] | None = None, run_id: str = "run") -> None:
        self.run_id = run_id
        self.done: dict[str, Json] = {}
        self.begins: dict[str, Json] = {}
        self.facts: list[Fact] = []
        self.waits: list[datetime] = []
        self.events = dict(events or {})

    async def step(self, name: str, work: StepWork) -> Json:
        if name not in self.done:
            worked = await work()
            self.done[name] = worked.result
            self.facts += worked.facts
        return self.done[name]

    async def once(self, name: str, begin: Worked, work: OnceWork, *, shielded: bool) -> Json:
        del shielded
        found = name in self.begins
        if not found:
            self.begins[name] = begin.result
            self.facts += begin.facts
        return await self.step(name, lambda: work(found))

    def known(self, name: str) -> Json:
        return self.done.get(name)

    def begun(self) -> list[Begun]:
        return [Begun(name, begin, self.done.get(name)) for name, begin in self.begins.items()]

    def record(self, *facts: Fact) -> None:
        self.facts += facts

    async def sleep_until(self, at: datetime) -> None:
        self.waits.append(at)

    def event(self, name: str) -> Json:
        return self.events.get(name)

    def count_events(self, prefix: str) -> int:
        return sum(name.startswith(prefix) for name in self.events)
