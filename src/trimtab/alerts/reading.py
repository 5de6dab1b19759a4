"""Reads what the watch looks at, off the live path, over a read-only connection of its own: hours that are over once, the last ones again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from trimtab.core.watched import SettledFact, Spent, SpentFact, SpentHour, Trouble, Used, Watched
from trimtab.journal.balances import Balance
from trimtab.journal.reader import Journal
from trimtab.journal.watched import WatchedReader, environments, whole_hour
from trimtab.learn.watch_surge import SLOT
from trimtab.models.catalogue import Catalogue
from trimtab.models.check import check_models, named_in, shortest_told
from trimtab.policy.caps import Cap, all_caps
from trimtab.policy.spec import Policy

LOOK_BACK = timedelta(days=28)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# Facts are written within seconds of their time: an hour this old is whole. A run may go on for longer.
_WHOLE, _SETTLED = timedelta(hours=2), DAY
_ARRIVALS, _LATE = 15 * DAY, 12
F = TypeVar("F", SpentFact, SettledFact)


@dataclass(slots=True)
class Reading:
    """Reads one store for one policy. What it adds up of hours that are over is to be kept (`keep`), and is not read again."""

    store: Path
    policy: Policy
    look_back: timedelta = LOOK_BACK
    keep: list[SpentFact | SettledFact] = field(default_factory=list[SpentFact | SettledFact], init=False)
    _arrivals: dict[str, dict[int, int]] = field(default_factory=dict[str, dict[int, int]], init=False)
    _tiers: tuple[datetime, list[Trouble]] | None = field(default=None, init=False)

    def environments(self, asked: Sequence[str] | None) -> list[str]:
        """Give the environments to watch: those asked for, or of the policy, or all with runs."""
        chosen = asked or self.policy.alerts.environments
        if chosen:
            return [*chosen]
        with Journal(self.store) as journal:
            return journal.read(environments)

    def watched(self, environment: str, now: datetime) -> Watched:
        """Read one environment as it is now."""
        with Journal(self.store) as journal:
            read = journal.read(lambda c: self._read(c, environment, now))
            if environment not in self.policy.budgets:
                return read
            days, runs = journal.balances(now.date())
        return replace(read, used=tuple(used(self.policy, environment, now.date(), days, runs)))

    def _read(self, connection: sqlite3.Connection, environment: str, now: datetime) -> Watched:
        reader = WatchedReader(connection, environment, alone=environments(connection) == [environment])
        hours = self._hours(reader, SpentFact, reader.spent, now, now - _WHOLE)
        settled = self._hours(reader, SettledFact, reader.settled, now, now - _SETTLED)
        return Watched(
            environment=environment,
            now=now,
            hours=[SpentHour(fact.at, _spent([fact])) for fact in hours],
            settled=settled,
            hour=_spent(reader.spent(now - HOUR, now)),
            traffic_at=reader.traffic_at(),
            arrivals=self._arrived(reader, now),
            answered=reader.answered(now - DAY, now),
            unpriced=reader.unpriced(now - DAY, now),
            standing=reader.standing(),
            all_simulated=bool(hours) and all(fact.simulated for fact in hours if fact.calls),
        )

    def _hours(
        self,
        reader: WatchedReader,
        kind: type[F],
        read: Callable[[datetime, datetime], list[F]],
        now: datetime,
        over: datetime,
    ) -> list[F]:
        """Give the hours of a time: those that were kept, and the rest added up; what is `over` of that is to be kept."""
        begin = whole_hour(now - self.look_back)
        # Hours kept while the clock was ahead are not the past yet.
        kept = reader.kept(kind, begin, now)
        fresh = read(kept[-1].at + HOUR if kept else begin, now)
        if kept or self.look_back >= LOOK_BACK:
            # Otherwise hours before `begin` would stay left out for whoever looks back further.
            self.keep += [fact for fact in fresh if fact.at + HOUR <= over]
        return [*kept, *fresh]

    def _arrived(self, reader: WatchedReader, now: datetime) -> dict[int, int]:
        """Count arrivals by ten minutes: those that were over and whole at the last look are remembered, and not counted again."""
        begin, end = (int(at.timestamp() // SLOT) for at in (now - min(_ARRIVALS, self.look_back), now))
        known = {slot: runs for slot, runs in self._arrivals.get(reader.environment, {}).items() if begin <= slot < end}
        # What was counted at the last look may have been written for a while after it.
        first = max(known) - _LATE if known else begin
        fresh = reader.arrivals(_at(first), _at(end))
        found = {slot: runs for slot, runs in known.items() if slot < first} | fresh
        self._arrivals[reader.environment] = found
        return found

    def tiers(self, now: datetime) -> list[Trouble]:
        """Find prompts close to a price tier or a context, once an hour: what `trimtab models check` says of prompts."""
        if self._tiers is None or abs(now - self._tiers[0]) >= HOUR:
            self._tiers = now, self._read_tiers(now)
        return self._tiers[1]

    def _read_tiers(self, now: datetime) -> list[Trouble]:
        catalogue, named = Catalogue(self.policy.price_file), named_in(self.policy)
        with Journal(self.store) as journal:
            prompts = journal.prompt_lengths(now - DAY, shortest_told(named, catalogue, now.date()))
        if not prompts:
            return []
        without = set(check_models(named, catalogue, now.date()))
        found = [f for f in check_models(named, catalogue, now.date(), prompts) if f not in without and not f.is_fine]
        return [
            Trouble(
                f"price_tier/{f.where}/{f.what}", f.weight, f"{f.what}: {f.why}", f.mend, now - DAY, {"where": f.where}
            )
            for f in found
        ]


def _at(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SLOT, UTC)


def used(
    policy: Policy, environment: str, today: date, days: Iterable[Balance], runs: Iterable[Balance]
) -> Iterable[Used]:
    """Say what of each cap of an environment is used: spent, reserved and lost; of caps on a run, by the run that has used most."""
    here = [b for b in days if b.environment == environment and b.day == today]
    each: dict[str, list[Balance]] = {}
    for balance in runs:
        if balance.environment == environment:
            each.setdefault(balance.run_id, []).append(balance)
    for cap in all_caps(environment, policy.budgets[environment]):
        if cap.per == "day":
            yield _used(cap, here, "")
        elif each:
            yield max((_used(cap, listed, run) for run, listed in each.items()), key=lambda u: u.share)


def _used(cap: Cap, balances: Iterable[Balance], run_id: str) -> Used:
    amounts = [getattr(b, cap.unit) for b in balances if b.role == cap.role or not cap.role]
    total = sum(map(Decimal, amounts), start=Decimal(0))
    return Used(cap.path, Decimal(cap.amount), total, float(total / Decimal(cap.amount)), run_id)


def _spent(facts: Sequence[SpentFact]) -> Spent:
    return Spent(
        calls=sum(f.calls for f in facts),
        usd=sum(f.usd for f in facts),
        usd_squares=sum(f.usd_squares for f in facts),
        tokens=sum(f.tokens for f in facts),
        token_squares=sum(f.token_squares for f in facts),
        unpriced=sum(f.unpriced for f in facts),
        again=sum(f.again for f in facts),
        failed=sum(f.failed for f in facts),
        runs=sum(f.runs for f in facts),
    )
