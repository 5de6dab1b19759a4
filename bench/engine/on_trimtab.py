"""The workflow on trimtab's embedded engine, with the facts that the product writes and without.

With facts: the pin and the request with the run, a model call with the plan, the plan, a model call with the first step of a
subtask, a tool call with the second, two states of each subtask, the outcome. 25 facts a workflow, as the run loop writes them.
"""
# ruff: noqa: ARG002 - each takes what its framework gives

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import measure

from trimtab.app import SystemClock
from trimtab.core.outcome import Status
from trimtab.core.ports import Ended, NewRun, Steps, Worked
from trimtab.core.records import (
    EffectFact,
    ExposureFact,
    Fact,
    ModelCallFact,
    OutcomeFact,
    PlanFact,
    RunFact,
    SubtaskFact,
    ToolCallFact,
)
from trimtab.core.values import dumps
from trimtab.engine.embedded import EmbeddedEngine
from trimtab.journal.writer import SqliteFacts

MODEL = "anthropic:claude-haiku-4-5"
ROLES = {
    role: {"model": MODEL, "max_tokens": 8192, "prompt": "0123456789abcdef"} for role in ("orchestrator", "berths")
}
KEY = "0123456789abcdef"
PAYLOAD = dumps({"workflow": "bench", "request": {"text": "a berth"}, "pin": {"roles": ROLES, "arm": None}})


@dataclass(frozen=True)
class Facts:
    """The facts of one run; none of them where they are not `written`."""

    run_id: str
    written: bool

    def new(self) -> list[Fact]:
        if not self.written:
            return []
        return [
            RunFact(self.run_id, "bench", self.run_id, "local", {"text": "a berth"}, now()),
            ExposureFact(self.run_id, ROLES, None, 1.0, "0123456789abcdef", date(2026, 6, 8)),
        ]

    def planned(self, plan: Any) -> list[Fact]:
        return [PlanFact(self.run_id, 0, plan["subtasks"], [], now())]

    def asked(self, step: str, subtask: str | None) -> list[Fact]:
        if not self.written:
            return []
        role = "berths" if subtask else "orchestrator"
        call = ModelCallFact(
            run_id=self.run_id,
            step=step,
            role=role,
            subtask=subtask,
            attempt=1,
            requested_model=MODEL,
            response_model="claude-haiku-4-5-20251001",
            response_id="msg_01XFDUDYJgAACzvnptvVoYEL",
            input_tokens=1812,
            output_tokens=321,
            cache_read_tokens=0,
            cache_write_5m_tokens=0,
            cache_write_1h_tokens=0,
            stop_reason="tool_use",
            error_class="",
            error="",
            latency_ms=1234.5,
            cost=Decimal("0.003417"),
            simulated=False,
            at=now(),
            host="bench.example",
            price_list="genai-prices 0.2.3, trimtab prices 2026-11-23 0123456789abcdef",
            cache_saved=Decimal(0),
        )
        return [call]

    def called(self, step: str, subtask: str) -> list[Fact]:
        if not self.written:
            return []
        call = ToolCallFact(
            run_id=self.run_id,
            step=step,
            role="berths",
            subtask=subtask,
            tool="hold",
            effect="reversible",
            idempotency_key=KEY,
            attempt=1,
            arguments={"berth": "A12", "from": "2026-06-13", "nights": 7, "vessel": "larkspur"},
            outcome="done",
            error_class="",
            reason="",
            latency_ms=12.3,
            at=now(),
        )
        return [call, *self.effect(step, subtask, "committed")]

    def effect(self, step: str, subtask: str, state: str) -> list[Fact]:
        return [EffectFact(self.run_id, step, state, KEY, subtask, "berths", "hold", "reversible", "", "", now())]

    def stands(self, subtask: str, state: str) -> list[Fact]:
        return [SubtaskFact(self.run_id, subtask, state, "berths", "hold", None, "", now())]

    def ended(self) -> list[Fact]:
        if not self.written:
            return []
        result = dict.fromkeys(measure.SUBTASKS, "held")
        outcome = OutcomeFact(self.run_id, 0, True, Status.COMPLETED, result, "", "", True, True, 0, now())  # noqa: FBT003 - one fact
        return [outcome]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Conductor:
    """Plans, then does all subtasks at once."""

    facts: bool

    async def perform(self, steps: Steps, payload: str) -> Ended:
        facts = Facts(steps.run_id, self.facts)
        plan: Any = await steps.step(
            "plan/0/1", lambda: self.work(measure.plan_result(), facts.asked("plan/0/1", None))
        )
        if self.facts:
            steps.record(*facts.planned(plan))
        results = await asyncio.gather(*(self.subtask(steps, facts, subtask) for subtask in plan["subtasks"]))
        return Ended(Status.COMPLETED, sum(map(len, results)), facts=facts.ended())

    async def subtask(self, steps: Steps, facts: Facts, subtask: str) -> list[Any]:
        if self.facts:
            steps.record(*facts.stands(subtask, "started"))
        model, tool = f"do/{subtask}/model/0/1", f"do/{subtask}/tool/0.0/1"
        asked = await steps.step(model, lambda: self.work(measure.step_result(subtask, 1), facts.asked(model, subtask)))
        called = await self.write(steps, facts, tool, subtask)
        if self.facts:
            steps.record(*facts.stands(subtask, "done"))
        return [asked, called]

    async def write(self, steps: Steps, facts: Facts, tool: str, subtask: str) -> Any:
        """Do a step that changes the world: with facts as the product does, reserved first; without as the peers do."""
        done = lambda: self.work(measure.step_result(subtask, 2), facts.called(tool, subtask))  # noqa: E731 - one of two uses
        if not self.facts:
            return await steps.step(tool, done)
        begin = Worked({"key": KEY, "subtask": subtask, "tool": "hold"}, facts.effect(tool, subtask, "reserved"))
        return await steps.once(tool, begin, lambda _: done(), shielded=True)

    async def work(self, result: dict[str, Any], facts: Sequence[Fact]) -> Worked:
        return Worked(result, facts)

    async def broken(self, steps: Steps, payload: str, error: Exception) -> Ended:
        raise error


def new_run(run_id: str, *, facts: bool) -> NewRun:
    return NewRun(run_id, "bench", run_id, "0123456789abcdef", PAYLOAD, Facts(run_id, facts).new())


@asynccontextmanager
async def opened(folder: Path, *, facts: bool) -> AsyncIterator[measure.RunOne]:
    engine = EmbeddedEngine(folder / "trimtab.db", Conductor(facts), SqliteFacts(), SystemClock())
    await engine.start()

    async def run_one(run_id: str) -> None:
        ended = await engine.settled(await engine.accept(new_run(run_id, facts=facts)), through=frozenset(Status))
        assert ended.value == 10

    yield run_one
    await engine.close()


if __name__ == "__main__":
    measure.main(facts=lambda folder: opened(folder, facts=True), bare=lambda folder: opened(folder, facts=False))
