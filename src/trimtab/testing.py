"""For users' tests: an app on scripted models, and a clock that stands still.

clock = StillClock()
async with app_for_tests(CharterBooking([...]), models=ScriptedModel([uses("plan", subtasks=[...]), ...]), clock=clock) as app:
run = await app.start(CharterBooking, request)
clock.advance(days=20)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trimtab.app import App
from trimtab.core.ports import Clock, ModelClient
from trimtab.core.usage import Usage
from trimtab.models.scripted import ScriptedModel, fault, says, together, uses
from trimtab.policy.load import parse
from trimtab.run.credential import Check
from trimtab.run.retry import Limits
from trimtab.run.workflow import Workflow

__all__ = ["FlatPrices", "ScriptedModel", "StillClock", "app_for_tests", "fault", "says", "together", "uses"]


class StillClock:
    """Time that moves only when told to."""

    def __init__(self, now: datetime = datetime(2026, 6, 8, 17, tzinfo=UTC)) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Give the time."""
        return self._now

    async def sleep_until(self, at: datetime) -> None:
        """Return when the clock was moved to `at` or past it."""
        if at <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((at, woken))
        await woken

    def advance(self, **by: float) -> None:
        """Move by a `timedelta` given in its keywords and wake who slept until then."""
        self._now += timedelta(**by)
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)


class FlatPrices:
    """Every token of every model costs one millionth of a dollar."""

    version = "flat"

    def cost(self, model: str, usage: Usage, on: date) -> Decimal | None:
        """Price all tokens alike."""
        del model, on
        return Decimal(usage.total) / 1_000_000


QUICK = Limits(backoff=timedelta(milliseconds=1), backoff_most=timedelta(milliseconds=5))


@asynccontextmanager
async def app_for_tests(
    *workflows: Workflow[Any, Any],
    models: ModelClient,
    store: Path | None = None,
    clock: Clock | None = None,
    limits: Limits = QUICK,
    credentials: Mapping[str, Check] | None = None,
) -> AsyncGenerator[App]:
    """Run an app with every role on one scripted model; its store lasts as long as the block, or stays at `store`."""
    with TemporaryDirectory() as folder:
        path = store or Path(folder) / "trimtab.db"
        policy = parse('[roles]\ndefault = "anthropic:scripted"\n', "testing")
        async with App(
            *workflows,
            policy=policy,
            store=path,
            models=models,
            prices=FlatPrices(),
            clock=clock,
            limits=limits,
            credentials=credentials,
        ) as app:
            yield app
