"""One round of the watch: read, look, open and close alerts, tell them. `keep_watching` makes rounds beside a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trimtab.alerts.deliver import Told, deliver, next_due
from trimtab.alerts.reading import Reading
from trimtab.core.ports import Clock
from trimtab.core.watched import AlertFact, Knowledge, Trouble, Watched
from trimtab.engine.handin import hand_in
from trimtab.journal import alerts
from trimtab.journal.reader import Journal
from trimtab.journal.writer import SqliteFacts
from trimtab.learn import watch
from trimtab.learn.watch_spent import Spending, spending
from trimtab.learn.watch_state import Limits
from trimtab.policy.alerts_spec import AlertsSpec, ChannelSpec
from trimtab.policy.problems import dotted
from trimtab.policy.spec import Policy

LOG = ChannelSpec("log", "log")
_FIRST = timedelta(seconds=30)  # a worker that starts has better things to do at once
_log = logging.getLogger("trimtab.alerts")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found. `failed` are the parts that could not be looked at, with why."""

    now: datetime
    environments: Sequence[str]
    found: Sequence[Trouble]
    knows: Sequence[Knowledge]
    failed: Sequence[str] = ()
    moved: Sequence[AlertFact] = ()
    open: Sequence[AlertFact] = ()

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong and nothing was left out."""
        return not self.found and not self.failed


@dataclass(slots=True)
class Watch:
    """Watches one store for one policy. Its rounds may be made in any thread, one at a time."""

    store: Path
    policy: Policy
    asked: Sequence[str] | None = None
    look_back: timedelta | None = None
    _reading: Reading = field(init=False)
    _spent: dict[str, Spending] = field(default_factory=dict[str, Spending], init=False)

    def __post_init__(self) -> None:
        self._reading = Reading(self.store, self.policy)
        if self.look_back is not None:
            self._reading.look_back = self.look_back

    def look(self, now: datetime, *, explained: bool = False) -> Round:
        """Read and look; nothing is written. A part that fails is named, the others are looked at.

        `explained` says of each detector what it can tell.
        """
        found: list[Trouble] = []
        knows: list[Knowledge] = []
        failed: list[str] = []
        environments = self._reading.environments(self.asked)
        for environment in environments:
            limits = limits_of(self.policy.alerts, environment)
            try:
                watched = self._reading.watched(environment, now)
                found += watch.look(watched, limits, self._spending(watched, limits))
                knows += watch.knows(watched, limits) if explained else ()
            except Exception as error:  # noqa: BLE001 - one environment that cannot be read must not hide the others
                failed.append(f"{environment}: {error}")
        try:
            found += self._reading.tiers(now)
        except Exception as error:  # noqa: BLE001 - as above
            failed.append(f"price tiers: {error}")
        with Journal(self.store) as journal:
            standing = _open(journal.read(alerts.newest))
        # What is not enough to be told is only the rest of something that was.
        causes = {alert.cause for alert in standing}
        found = [trouble for trouble in found if trouble.told or trouble.cause in causes]
        return Round(now, environments, found, knows, failed, open=standing)

    def note(self, seen: Round) -> Round:
        """Open and close alerts, durably, and give the round with what was moved and what is open now."""
        looked = _looked(seen)

        def change(connection: Any) -> tuple[list[AlertFact], Mapping[str, Sequence[AlertFact]]]:
            before = alerts.newest(connection)
            moved = watch.moves(seen.found, before, looked, seen.now, self.policy.alerts.quiet)
            SqliteFacts().write(connection, moved)
            return moved, alerts.newest(connection)

        if self._reading.keep:
            keep, self._reading.keep = self._reading.keep, []
            hand_in(self.store, SqliteFacts(), lambda connection: SqliteFacts().write(connection, keep))
        with Journal(self.store) as journal:
            before = journal.read(alerts.newest)
        # Nobody else need wait for a lock where there is nothing to write.
        if not watch.moves(seen.found, before, looked, seen.now, self.policy.alerts.quiet):
            moved, after = list[AlertFact](), before
        else:
            moved, after = hand_in(self.store, SqliteFacts(), change)
        return replace(seen, moved=moved, open=_open(after))

    def _spending(self, watched: Watched, limits: Limits) -> Spending:
        fresh = spending(watched, limits.spike)
        kept = self._spent.get(watched.environment)
        # Made once an hour, when an hour has become whole; and again where a late fact has changed one.
        if kept is None or kept.end != fresh.end or kept.hours != fresh.hours:
            self._spent[watched.environment] = kept = fresh
        return kept


def limits_of(spec: AlertsSpec, environment: str) -> Limits:
    """Give the limits that hold for an environment."""
    plan, hour = spec.usd_per_success.get(environment), spec.usd_per_hour.get(environment)
    return Limits(
        spike=spec.spike,
        usd_per_hour=None if hour is None else float(hour),
        usd_per_success=None if plan is None else float(plan),
        retries=spec.retries,
        budget=spec.budget,
        standing=spec.standing,
        silence=spec.silence,
    )


def _open(newest: Mapping[str, Sequence[AlertFact]]) -> list[AlertFact]:
    return [past[-1] for past in newest.values() if past[-1].state != watch.CLOSED]


def _looked(seen: Round) -> list[str]:
    """Give the beginnings of the causes that this round looked for: what it could not look at is not over."""
    failed = {text.partition(":")[0] for text in seen.failed}
    fine = [environment for environment in seen.environments if environment not in failed]
    one = ("spend_spike", "usd_per_hour", "chronic_burn", "retry_storm", "no_traffic")
    several = ("model_mismatch", "unknown_price", "standing")
    starts = [f"{name}/{environment}" for environment in fine for name in one]
    starts += [f"{name}/{environment}/" for environment in fine for name in several]
    starts += [f"budget/{dotted(('budgets', environment))}." for environment in fine]
    return starts if "price tiers" in failed else [*starts, "price_tier/"]


async def keep_watching(
    store: Path,
    policy: Policy,
    clock: Clock,
    *,
    asked: Sequence[str] | None = None,
    channels: Mapping[str, ChannelSpec] | None = None,
    shown: Callable[[Round], None] | None = None,
    every: timedelta | None = None,
) -> None:
    """Make a round every so often until cancelled, and tell what is due between. Nothing that fails here ends it."""
    watching, told = Watch(store, policy, asked), policy.alerts.channels or {"log": LOG}
    over, period = told if channels is None else channels, every or policy.alerts.every
    if period is None:
        return
    look_at = clock.now() + (timedelta(0) if shown else min(_FIRST, period))
    while True:
        if clock.now() >= look_at:
            look_at = clock.now() + period
            await _round(watching, clock, shown)
        due = await _tell(store, over, clock)
        # A clock that was set back must not keep the watch waiting for the old time.
        look_at = min(look_at, clock.now() + period)
        await clock.sleep_until(max(min(due, look_at) if due else look_at, clock.now() + timedelta(seconds=1)))


async def _round(watching: Watch, clock: Clock, shown: Callable[[Round], None] | None) -> None:
    try:
        seen = await asyncio.to_thread(lambda: watching.note(watching.look(clock.now(), explained=shown is not None)))
    except Exception as error:  # noqa: BLE001 - the runs go on whatever becomes of the watch
        _log.warning("the watch could not look: %s", error)
        return
    for failed in seen.failed:
        _log.warning("the watch could not look at %s", failed)
    if shown:
        shown(seen)


async def _tell(store: Path, channels: Mapping[str, ChannelSpec], clock: Clock) -> datetime | None:
    try:
        for told in await deliver(store, channels, clock):
            if told.reason:
                _log.warning("channel %r did not take alert %r: %s", told.channel, told.alert.cause, told.reason)
        return await asyncio.to_thread(next_due, store, channels.values(), clock.now())
    except Exception as error:  # noqa: BLE001 - as above
        _log.warning("alerts could not be told: %s", error)
        return clock.now() + timedelta(minutes=1)


async def tell_now(store: Path, channels: Mapping[str, ChannelSpec], clock: Clock, patience: timedelta) -> list[Told]:
    """Tell what is due, and try again what failed as long as `patience` lasts; the rest is left to the next round."""
    end, done = clock.now() + patience, list[Told]()
    while True:
        done += await deliver(store, channels, clock)
        due = await asyncio.to_thread(next_due, store, channels.values(), clock.now())
        if due is None or due > end:
            return done
        await clock.sleep_until(due)
