"""What a run did is taken back when it goes no further: in reverse, durably, and what cannot be is put before a person."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.shop import Shop, World, forever, ledger, plays, shop
from trimtab import Failed, Rejected, Retry, Status
from trimtab.core.ports import Ended, Parked
from trimtab.testing import app_for_tests

CHAIN = ("a stock.reserve anchor", "b stock.reserve buoy < a", "c card.charge 5 < b", "m mail.send ada < c")
WIDE = ("a stock.reserve anchor", "b stock.reserve buoy", "c card.charge 5 < a", "d card.charge 7 < b c")
NO = Failed("card is closed")


async def settle(tmp_path, world, *plan, models=None):
    models = models or plays(*plan)
    async with app_for_tests(shop(world), models=models, store=tmp_path / "t.db") as app:
        return await asyncio.wait_for((await app.start(Shop, "x", key="k")).settled(), 20)


def undone(world):
    return [line for line in world.log if line.startswith(("unreserve", "refund"))]


async def test_a_failed_run_takes_back_what_it_wrote_the_last_first(tmp_path):
    world = World(does={"send": [NO]})
    standing = await settle(tmp_path, world, *CHAIN)
    assert isinstance(standing, Ended)
    assert standing.status is Status.FAILED
    assert undone(world) == ["refund 5", "unreserve buoy", "unreserve anchor"]
    assert world.standing() == []
    assert ledger(tmp_path / "t.db") == [
        ("a", "compensated"),
        ("b", "compensated"),
        ("c", "compensated"),
        ("m", "released"),
    ]


async def test_branches_that_do_not_need_a_failed_subtask_finish_first_and_are_then_taken_back(tmp_path):
    world = World(does={"reserve anchor": [NO]})
    standing = await settle(tmp_path, world, *WIDE)
    assert standing.status is Status.FAILED
    assert "reserve buoy" in world.log
    assert undone(world) == ["unreserve buoy"]


async def test_a_blocked_subtask_names_the_failure_that_began_it_and_the_role_that_owns_it(tmp_path):
    import sqlite3

    await settle(tmp_path, World(does={"reserve anchor": [NO]}), *WIDE)
    with sqlite3.connect(tmp_path / "t.db") as connection:
        found = connection.execute(
            "SELECT subtask, state, cause, owner FROM subtask WHERE cause <> '' ORDER BY 1"
        ).fetchall()
    assert found == [("a", "failed", "a", "stock"), ("c", "blocked", "a", "stock"), ("d", "blocked", "a", "stock")]


async def test_what_the_world_refused_is_put_before_a_person_and_nothing_is_taken_back(tmp_path):
    world = World(does={"send": [Rejected("no such address")]})
    standing = await settle(tmp_path, world, *CHAIN)
    assert standing.status is Status.ESCALATED
    assert undone(world) == []


async def test_a_cancelled_run_takes_back_what_it_wrote(tmp_path):
    world = World(does={"send": [forever]})
    models = plays(*CHAIN[:3], "k stock.count anchor < c", inner=None)
    world.does["count"] = [forever]
    async with app_for_tests(shop(world), models=models, store=tmp_path / "t.db") as app:
        run = await app.start(Shop, "x", key="k")
        while "count anchor" not in world.log:  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.005)
        assert await run.cancel("olga")
        standing = await asyncio.wait_for(run.ended(), 20)
    assert (standing.status, standing.reason) == (Status.CANCELLED, "cancelled by olga")
    assert undone(world) == ["refund 5", "unreserve buoy", "unreserve anchor"]


async def test_a_write_under_way_when_its_run_is_cancelled_is_finished_and_taken_back(tmp_path):
    hold = asyncio.Event()

    async def wait(step):
        await hold.wait()

    world = World(does={"charged": [wait]})
    async with app_for_tests(shop(world), models=plays(*CHAIN), store=tmp_path / "t.db") as app:
        run = await app.start(Shop, "x", key="k")
        while "charged 5" not in world.log:  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.005)
        await run.cancel("olga")
        await asyncio.sleep(0.02)
        assert undone(world) == []
        hold.set()
        await asyncio.wait_for(run.ended(), 20)
    assert undone(world) == ["refund 5", "unreserve buoy", "unreserve anchor"]


async def test_what_cannot_be_taken_back_stands_and_is_named(tmp_path):
    world = World(does={"charge 7": [NO]})
    standing = await settle(tmp_path, world, "a stock.reserve anchor", "m mail.send ada < a", "d card.charge 7 < m")
    assert standing.status is Status.FAILED
    assert standing.reason.endswith("mail.send of m stands: it cannot be taken back")
    assert undone(world) == ["unreserve anchor"]
    assert world.standing() == ["send ada"]


async def test_a_compensation_is_tried_again(tmp_path):
    world = World(does={"send": [NO], "refund": [OSError("down"), Retry("busy")]})
    assert (await settle(tmp_path, world, *CHAIN)).status is Status.FAILED
    assert undone(world) == [*["refund 5"] * 3, "unreserve buoy", "unreserve anchor"]
    assert world.standing() == []


async def test_a_compensation_that_fails_keeps_what_it_rests_on_and_a_person_is_asked(tmp_path):
    world = World(does={"send": [NO], "refund": [Rejected("too late to refund")]})
    standing = await settle(tmp_path, world, *CHAIN, "z stock.reserve zinc")
    assert isinstance(standing, Parked)
    assert standing.status is Status.NEEDS_YOU
    assert "card.charge of c could not be taken back: too late to refund" in standing.reason
    assert "stock.reserve of b stays: what rests on it is not taken back" in standing.reason
    assert undone(world) == ["unreserve zinc", "refund 5"] or undone(world) == ["refund 5", "unreserve zinc"]
    assert dict(ledger(tmp_path / "t.db")) == {
        "a": "committed", "b": "committed", "c": "uncompensated", "m": "released", "z": "compensated",
    }  # fmt: skip


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_person_lets_a_compensation_be_tried_again_or_says_it_was_done_by_hand(tmp_path, by_hand):
    world = World(does={"send": [NO], "refund": [Rejected("too late to refund")]})
    models = plays(*CHAIN)
    async with app_for_tests(shop(world), models=models, store=tmp_path / "t.db") as app:
        run = await app.start(Shop, "x", key="k")
        parked = await run.settled()
    # In another life, too.
    async with app_for_tests(shop(world), models=models, store=tmp_path / "t.db") as app:
        run = app.run(run.id, "shop")
        event = next(e for e in parked.events if e.startswith("settle/undo/" if by_hand else "resume/"))
        await app.engine.deliver(run.id, event, {"by": "olga", "raised": {}, "models": {}})
        standing = await asyncio.wait_for(run.ended(), 20)
    assert standing.status is Status.FAILED
    assert undone(world) == ["refund 5", *([] if by_hand else ["refund 5"]), "unreserve buoy", "unreserve anchor"]


async def test_an_unknown_write_of_a_cancelled_run_is_looked_up_before_anything_it_rests_on_is_taken_back(tmp_path):
    world = World(does={"charged": [ConnectionResetError("gone")]})
    async with app_for_tests(shop(world), models=plays(*CHAIN), store=tmp_path / "t.db") as app:
        run = await app.start(Shop, "x", key="k")
        await run.settled()
        await run.cancel("olga")
        parked = await asyncio.wait_for(app.engine.settled(run.id, through={Status.AWAITING_GUEST}), 20)
        while "may have been made" not in parked.reason:
            await asyncio.sleep(0.01)
            parked = await run.settled()
        assert parked.status is Status.NEEDS_YOU
        assert undone(world) == []
        [event] = [e for e in parked.events if e.startswith("settle/")]
        await app.engine.deliver(run.id, event, {"made": True, "result": 5, "by": "olga"})
        assert (await asyncio.wait_for(run.ended(), 20)).status is Status.CANCELLED
    assert undone(world) == ["refund 5", "unreserve buoy", "unreserve anchor"]


async def test_a_run_whose_code_raises_takes_back_what_it_wrote(tmp_path):
    class Broken(Shop, name="broken"):
        """You sell things."""

        def conclude(self, request, results):
            raise ZeroDivisionError("the users' code")

    world = World()
    declared = Broken(list(shop(world).specialists.values()))
    async with app_for_tests(declared, models=plays(*CHAIN[:3]), store=tmp_path / "t.db") as app:
        standing = await (await app.start(Broken, "x")).settled()
    assert standing.status is Status.FAILED
    assert standing.reason == "ZeroDivisionError: the users' code"
    assert undone(world) == ["refund 5", "unreserve buoy", "unreserve anchor"]


async def test_what_cannot_be_taken_back_waits_for_a_write_it_depends_on_even_where_it_does_not_wait_for_results(
    tmp_path,
):
    world = World(does={"charged": [ConnectionResetError("gone")]})
    standing = await settle(tmp_path, world, "c card.charge 5", "l mail.alert olga < c", "k stock.count x")
    assert standing.status is Status.NEEDS_YOU
    assert "alert olga" not in world.log
    world = World(does={"charge": [Rejected("declined")]})
    (tmp_path / "second").mkdir()
    await settle(tmp_path / "second", world, "c card.charge 5", "l mail.alert olga < c")
    assert "alert olga" in world.log


async def test_a_run_of_a_workflow_this_worker_does_not_know_is_kept_for_one_that_does(tmp_path):
    class Other(Shop, name="other"):
        """You sell other things."""

    world = World(does={"reserved": [forever]})
    async with app_for_tests(shop(world), models=plays(*CHAIN), store=tmp_path / "t.db") as app:
        run = await app.start(Shop, "x", key="k")
        while "reserved anchor" not in world.log:  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.005)
        app.engine._tasks.clear()
    async with app_for_tests(
        Other(list(shop(World()).specialists.values())), models=plays(), store=tmp_path / "t.db"
    ) as app:
        parked = await asyncio.wait_for(app.engine.settled(run.id), 20)
    assert parked.status is Status.NEEDS_YOU
    assert "this app has no workflow 'shop'" in parked.reason
