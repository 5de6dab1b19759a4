"""What users test their applications with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.booking import Booking, Order, World, booking

from trimtab import Status
from trimtab.core.usage import Usage
from trimtab.testing import FlatPrices, ScriptedModel, StillClock, app_for_tests, fault, uses


async def test_a_still_clock_stands_until_it_is_moved():
    clock = StillClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    clock.advance(days=20, hours=1)
    assert clock.now() == datetime(2026, 1, 21, 1, tzinfo=UTC)


async def test_a_sleeper_wakes_when_its_time_has_come_and_not_before():
    clock, woken = StillClock(), []

    async def sleeper(hours):
        await clock.sleep_until(clock.now() + timedelta(hours=hours))
        woken.append(hours)

    tasks = [asyncio.ensure_future(sleeper(h)) for h in (3, 1, 2, 0, -1)]
    await asyncio.sleep(0.01)
    assert sorted(woken) == [-1, 0]
    clock.advance(minutes=59)
    await asyncio.sleep(0.01)
    assert len(woken) == 2
    clock.advance(minutes=61)
    await asyncio.sleep(0.01)
    assert sorted(woken) == [-1, 0, 1, 2]
    clock.advance(days=1)
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_a_sleeper_that_was_cancelled_is_nobodys_trouble():
    clock = StillClock()
    task = asyncio.ensure_future(clock.sleep_until(clock.now() + timedelta(days=1)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    clock.advance(days=2)
    assert task.cancelled()


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_flat_prices_cost_a_millionth_a_token(read, written):
    usage = Usage(input=read, output=written)
    assert FlatPrices().cost("any:model", usage, StillClock().now().date()) == Decimal(read + written) / 1_000_000


async def test_an_app_for_tests_needs_no_policy_no_network_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with app_for_tests(booking(World()), models=ScriptedModel([uses("clarify", questions=["When?"])])) as app:
        run = await app.start(Booking, Order("x"))
        assert (await run.ended()).status is Status.CLARIFY
        inside = app.store
        assert inside.exists()
    assert not inside.exists()
    assert list(tmp_path.iterdir()) == []


async def test_a_store_that_was_named_is_kept(tmp_path):
    for number in range(2):
        models = ScriptedModel([uses("clarify", questions=["When?"])])
        async with app_for_tests(booking(World()), models=models, store=tmp_path / "t.db") as app:
            run = await app.start(Booking, Order("x"), key="same")
            await run.ended()
        assert len(models.calls) == 1 - number


async def test_retries_of_an_app_for_tests_are_quick():
    models = ScriptedModel([fault("transient", "overloaded")] * 8 + [uses("clarify", questions=["When?"])])
    async with app_for_tests(booking(World()), models=models) as app:
        run = await app.start(Booking, Order("x"))
        assert (await asyncio.wait_for(run.ended(), 5)).status is Status.CLARIFY


async def test_an_app_for_tests_that_raises_gives_its_store_back(tmp_path):
    with pytest.raises(ZeroDivisionError):
        async with app_for_tests(booking(World()), models=ScriptedModel([]), store=tmp_path / "t.db"):
            raise ZeroDivisionError
    async with app_for_tests(booking(World()), models=ScriptedModel([]), store=tmp_path / "t.db"):
        pass
