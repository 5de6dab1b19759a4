"""What changes the world is done once, or a person is asked: the ledger of effects on a real store."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.shop import Shop, World, forever, ledger, plays, shop
from trimtab import Failed, Rejected, Retry, Status
from trimtab.core.ports import Parked
from trimtab.testing import app_for_tests

ONE = "r stock.reserve anchor"
TWO = ("c card.charge 5", "m mail.send ada < c")


async def settle(tmp_path, models, world):
    async with app_for_tests(shop(world), models=models, store=tmp_path / "t.db") as app:
        return await asyncio.wait_for((await app.start(Shop, "x", key="k")).settled(), 20)


async def die_inside(tmp_path, models, world, mark: str):
    """Start a run and stop the process' worth of it while a tool is at `mark`: its effect is begun and never finished."""
    app_ = app_for_tests(shop(world), models=models, store=tmp_path / "t.db")
    app = await app_.__aenter__()
    await app.start(Shop, "x", key="k")
    while mark not in world.log:  # noqa: ASYNC110 - what is waited for is no event
        await asyncio.sleep(0.005)
    # As a crash would: nothing more is written.
    app.engine._lock.give_back()
    for task in list(app.engine._tasks):
        task.cancel()
    return app


async def again(tmp_path, models, world):
    async with app_for_tests(shop(world), models=models, store=tmp_path / "t.db") as app:
        return await asyncio.wait_for((await app.start(Shop, "x", key="k")).settled(), 20)


async def test_a_write_is_reserved_and_then_committed(tmp_path):
    world = World()
    standing = await settle(tmp_path, plays(ONE), world)
    assert standing.status is Status.COMPLETED
    assert ledger(tmp_path / "t.db") == [("r", "committed")]


@pytest.mark.parametrize("outcome", [Rejected("none left"), Failed("no such item")])
async def test_a_write_that_says_no_is_released(tmp_path, outcome):
    await settle(tmp_path, plays(ONE), World(does={"reserve": [outcome]}))
    assert ledger(tmp_path / "t.db") == [("r", "released")]


async def test_a_write_that_asks_to_be_tried_again_is_reserved_anew(tmp_path):
    world = World(does={"reserve": [Retry("busy"), Retry("busy")]})
    assert (await settle(tmp_path, plays(ONE), world)).status is Status.COMPLETED
    assert world.log == ["reserve anchor", "reserve anchor", "reserve anchor", "reserved anchor"]
    assert ledger(tmp_path / "t.db") == [("r", "committed")]


async def test_a_write_that_raised_after_its_work_is_found_by_its_lookup_and_not_repeated(tmp_path):
    world = World(does={"reserved": [ConnectionResetError("gone")]})
    standing = await settle(tmp_path, plays(ONE), world)
    assert (standing.status, standing.value) == (Status.COMPLETED, {"r": "anchor"})
    assert world.log == ["reserve anchor", "reserved anchor", "look r"]


async def test_a_write_that_raised_before_its_work_is_made_again_when_its_lookup_says_so(tmp_path):
    world = World(does={"reserve": [TimeoutError("slow")]})
    assert (await settle(tmp_path, plays(ONE), world)).status is Status.COMPLETED
    assert world.log == ["reserve anchor", "look r", "reserve anchor", "reserved anchor"]


async def test_a_write_that_raised_and_has_no_lookup_is_put_before_a_person(tmp_path):
    world = World(does={"charged": [ConnectionResetError("gone")]})
    standing = await settle(tmp_path, plays(*TWO), world)
    assert standing.status is Status.NEEDS_YOU
    assert isinstance(standing, Parked)
    assert "charge has no lookup, so it may have taken effect" in standing.reason
    assert ledger(tmp_path / "t.db") == [("c", "unknown")]
    assert world.log == ["charge 5", "charged 5"]


@pytest.mark.parametrize("made", [True, False])
async def test_a_person_says_whether_an_unknown_write_was_made(tmp_path, made):
    world = World(does={"charged" if made else "charge": [ConnectionResetError("gone")]})
    async with app_for_tests(shop(world), models=plays(*TWO), store=tmp_path / "t.db") as app:
        run = await app.start(Shop, "x", key="k")
        parked = await run.settled()
        [event] = [e for e in parked.events if e.startswith("settle/")]
        await app.engine.deliver(run.id, event, {"made": made, "result": 5 if made else None, "by": "olga"})
        assert (await asyncio.wait_for(run.ended(), 20)).status is Status.COMPLETED
    charges = [line for line in world.log if line.startswith("charge ")]
    assert charges == ["charge 5"] * (1 if made else 2)
    assert world.standing() == ["charge 5", "send ada"]


async def test_a_lookup_that_cannot_say_leaves_it_to_a_person(tmp_path):
    world = World(does={"reserve": [OSError("broken")], "look": [OSError("down"), Retry("busy"), Failed("cannot say")]})
    standing = await settle(tmp_path, plays(ONE), world)
    assert standing.status is Status.NEEDS_YOU
    assert "its lookup cannot say" in standing.reason
    assert world.log.count("look r") == 3
    assert world.log.count("reserve anchor") == 1


async def test_after_a_crash_inside_a_write_its_lookup_decides(tmp_path):
    world = World(does={"reserved": [forever]})
    await die_inside(tmp_path, plays(ONE), world, "reserved anchor")
    standing = await again(tmp_path, plays(ONE), world)
    assert standing.status is Status.COMPLETED
    assert world.log == ["reserve anchor", "reserved anchor", "look r"]
    assert ledger(tmp_path / "t.db") == [("r", "committed")]


async def test_after_a_crash_inside_a_write_without_a_lookup_a_person_is_asked(tmp_path):
    world = World(does={"charged": [forever]})
    await die_inside(tmp_path, plays(*TWO), world, "charged 5")
    standing = await again(tmp_path, plays(*TWO), world)
    assert standing.status is Status.NEEDS_YOU
    assert "the process ended while it was made" in standing.reason
    assert world.log == ["charge 5", "charged 5"]


async def test_a_call_counts_as_done_when_its_check_holds(tmp_path):
    world = World(does={"statement": ["not there yet", False, True]})
    assert (await settle(tmp_path, plays("c card.charge 5"), world)).status is Status.COMPLETED
    assert world.log == ["charge 5", "charged 5", *["statement 5"] * 3]


async def test_a_call_whose_check_never_holds_has_failed_and_is_taken_back(tmp_path):
    world = World(does={"statement": ["it is not on the statement"] * 20})
    standing = await settle(tmp_path, plays(*TWO), world)
    assert standing.status is Status.FAILED
    assert "charge was made, but it is not on the statement [postcondition]" in standing.reason
    assert world.standing() == []
    assert ledger(tmp_path / "t.db") == [("c", "compensated")]


async def test_a_workflow_may_say_what_must_hold_of_a_result(tmp_path):
    class Strict(Shop, name="strict"):
        """You sell things."""

        def ensure(self, request, subtask, result):
            return "too dear" if subtask.call == "card.charge" and result > 4 else ""

    world = World()
    declared = Strict(list(shop(world).specialists.values()))
    async with app_for_tests(declared, models=plays(*TWO), store=tmp_path / "t.db") as app:
        standing = await (await app.start(Strict, "x")).settled()
    assert standing.status is Status.FAILED
    assert "too dear [postcondition]" in standing.reason
    assert world.standing() == []
