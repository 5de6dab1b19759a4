"""What the recorded traffic of each role comes to on each model that it might have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from trimtab.cli.cost_models import PriceBook
from trimtab.cli.cost_span import span
from trimtab.core.errors import UsageError
from trimtab.core.traffic import Traffic
from trimtab.journal.reader import Journal
from trimtab.learn.advise import Effect
from trimtab.learn.forecast import DAYS_A_MONTH


@dataclass(frozen=True, slots=True)
class Spent:
    """What each role's recorded tokens come to on each model, in dollars of all recorded days."""

    usd: Mapping[tuple[str, str], Decimal | None]
    roles: Sequence[str]
    models: Sequence[str]
    runs: int
    days: Decimal
    warnings: Sequence[str]

    @classmethod
    def read(cls, book: PriceBook, store: Path, since: datetime, environment: str, measured: set[str]) -> Spent:
        """Price the traffic on the policy's models, those that were `measured` and those that it was on. Raises UsageError: there is none."""
        listed = set(book.policy.models.values()) if book.policy else set[str]()
        tariffs = {model: book.tariff(model) for model in {*listed, *measured}}
        with Journal(store) as journal:
            parts = _recorded(journal, {s for t in tariffs.values() if t for s in t.starts}, since, environment)
            tariffs |= {part.model: book.tariff(part.model) for part in parts}
            # A model that only runs were asked of may have tiers of its own.
            parts = _recorded(journal, {s for t in tariffs.values() if t for s in t.starts}, since, environment)
            recorded = span(journal, since, environment)
        if recorded is None or not parts:
            text = f"{str(store)!r} has no model call of a run accepted in {environment!r} since {since:%Y-%m-%d %H:%M} UTC"
            raise UsageError(text, hint="name another --over, --environment or --store")
        usd: dict[tuple[str, str], Decimal | None] = defaultdict(Decimal)
        for part in parts:
            for model, tariff in tariffs.items():
                key = (part.role, model)
                cost = tariff.cost(tariff.tier(part.over + 1), part.usage) if tariff else None
                before = usd[key]
                usd[key] = None if cost is None or before is None else before + cost
        warnings = ["simulated: no real model was asked"] if any(part.simulated for part in parts) else []
        roles, days = sorted({part.role for part in parts}), Decimal(repr(recorded.days))
        return cls(dict(usd), roles, sorted(tariffs), recorded.runs, days, [*warnings, *recorded.warnings])

    def monthly(self, role: str, model: str) -> Decimal | None:
        """Dollars a month of a role on a model; None where a price is not known, 0 for a role that was not asked anything."""
        usd = self.usd.get((role, model), Decimal(0) if role not in self.roles else None)
        return None if usd is None else usd / self.days * DAYS_A_MONTH

    def added(self, effect: Effect) -> Decimal | None:
        """Dollars a month that a change adds."""
        total = Decimal(0)
        for role, model in effect.after.items():
            now, then = self.monthly(role, effect.before[role]), self.monthly(role, model)
            if now is None or then is None:
                return None
            total += then - now
        return total


def _recorded(journal: Journal, starts: set[int], since: datetime, environment: str) -> list[Traffic]:
    return list(journal.traffic(starts - {0}, by={"role"}, since=since, environment=environment))
