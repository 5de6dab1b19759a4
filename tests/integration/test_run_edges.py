"""Corners of a run that a first look leaves out."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.booking import Booking, Order, World, booking
from trimtab import Specialist, Status, Step, Workflow, tool
from trimtab.testing import ScriptedModel, app_for_tests, uses


class Odd(Specialist, role="odd"):
    """You do odd things."""

    @tool("read")
    async def look(self, step: Step) -> int:
        """Wait for something that is cancelled."""
        return await self._cancelled()

    @tool("irreversible")
    async def act(self, step: Step) -> int:
        """Wait for something that is cancelled."""
        return await self._cancelled()

    async def _cancelled(self) -> int:
        other = asyncio.ensure_future(asyncio.sleep(60, 1))
        asyncio.get_running_loop().call_soon(other.cancel)
        return await other


class Nothing(Workflow[str, None], name="nothing"):
    """You do odd things."""

    def conclude(self, request: str, results: Any) -> None:
        return None


def plays(*subtasks: dict[str, Any]) -> ScriptedModel:
    def play(call: Any) -> Any:
        if call.tools[0].name == "plan":
            return uses("plan", subtasks=list(subtasks))
        action = call.messages[0].text.split('"action":"')[1].split('"')[0]
        return uses(action)

    return ScriptedModel(play)


async def test_a_tool_that_waits_for_what_is_cancelled_fails_its_subtask_and_a_write_is_put_before_a_person():
    for action, status in (("look", Status.FAILED), ("act", Status.NEEDS_YOU)):
        models = plays({"id": "a", "specialist": "odd", "action": action})
        async with app_for_tests(Nothing([Odd()]), models=models) as app:
            standing = await asyncio.wait_for((await app.start(Nothing, "x")).settled(), 10)
        assert standing.status is status
        assert "waited for something that was cancelled" in standing.reason


async def test_a_workflow_may_conclude_nothing():
    class Alert(Specialist, role="alert"):
        """You alert."""

        @tool("irreversible")
        async def ring(self, step: Step) -> None:
            """Ring."""

    models = plays({"id": "a", "specialist": "alert", "action": "ring"})
    async with app_for_tests(Nothing([Alert()]), models=models) as app:
        assert await (await app.start(Nothing, "x")).result() is None


async def test_half_a_surrogate_pair_from_anybody_harms_nobody(tmp_path):
    world = World()
    plan = [{"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": "$request.text"}}]
    models = ScriptedModel(
        lambda call: (
            uses("plan", subtasks=plan)
            if call.tools[0].name == "plan"
            else uses("send", text="boat \ud83d", expects="nothing")
        )
    )
    async with app_for_tests(booking(world), models=models, store=tmp_path / "t.db") as app:
        run = await app.start_json("booking", {"text": "boat \ud83d"})
        assert (await asyncio.wait_for(run.ended(), 10)).status is Status.COMPLETED
        assert not app.engine.broken.done()
    async with app_for_tests(booking(world), models=models, store=tmp_path / "t.db") as app:
        assert (await app.run(run.id, "booking").ended()).value == {"n": "sent"}
        assert not await app.run(run.id, "booking").cancel("olga")
    assert world.sent == ["boat \ud83d"]


async def test_a_plan_that_nests_without_end_stops_its_run_and_not_the_worker():
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    plan = [{"id": "n", "specialist": "notification", "action": "send", "inputs": {"text": deep}}]
    async with app_for_tests(booking(World()), models=ScriptedModel(lambda call: uses("plan", subtasks=plan))) as app:
        standing = await asyncio.wait_for((await app.start(Booking, Order("x"))).settled(), 10)
        assert standing.status is Status.NEEDS_YOU
        assert "nested deeper" in standing.reason
        assert not app.engine.broken.done()
