"""What a replay may spend: one cap over all of it, held exactly, however many days and restarts it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from trimtab.core.ports import Clock
from trimtab.policy.caps import Amount
from trimtab.policy.spec import BudgetSpec, Caps
from trimtab.run.budget import Budgets, Refused, Reservation, Want

# All of a replay is one day in its books: a cap a day would be another one tomorrow.
THE_DAY = date(2000, 1, 1)
SOON = timedelta(seconds=2)


class ReplayBudgets(Budgets):
    """The budgets of a replay in one environment. `reached` says that its cap stands in the way of some call."""

    def __init__(self, environment: str, policy: BudgetSpec | None, cap: Decimal | None, clock: Clock) -> None:
        spec = _without_days(policy or BudgetSpec(), cap)
        capped = cap is not None or any(_set(c) for c in (spec.caps, *spec.roles.values()))
        super().__init__({environment: spec} if capped else {})
        self._cap = cap
        self._clock = clock
        self.reached = False

    def reserve(
        self, want: Want, day: date, raised: Mapping[str, Amount] | None = None
    ) -> Reservation | Refused | None:
        """As `Budgets.reserve`, for the one day there is.

        What the cap refuses is tried again soon: in this life in vain, and in one with a larger cap without anybody's word.
        """
        del day
        answer = super().reserve(want, THE_DAY, raised or {})
        if not isinstance(answer, Refused):
            return answer
        gone = self.account(want.environment, "", THE_DAY).gone
        if self._cap is None or want.usd is None or gone.usd + want.usd <= self._cap:
            return answer
        self.reached = True
        return replace(answer, until=self._clock.now() + SOON)


def _set(caps: Caps) -> list[Amount]:
    """Give the caps that are set."""
    return [amount for name in Caps.__slots__ if (amount := getattr(caps, name)) is not None]


def _without_days(policy: BudgetSpec, cap: Decimal | None) -> BudgetSpec:
    # Caps a run are part of how runs go; caps a day are the environment's, and a replay is none of its traffic.
    def by_run(caps: Caps) -> Caps:
        return replace(caps, usd_per_day=None, tokens_per_day=None, turns_per_day=None)

    return BudgetSpec(
        replace(by_run(policy.caps), usd_per_day=cap), {role: by_run(caps) for role, caps in policy.roles.items()}
    )
