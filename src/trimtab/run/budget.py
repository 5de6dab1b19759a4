"""The ledger of budgets: what a call may cost at most is set aside before it is made, so that no cap is ever passed.

It is memory only and does no work of its own: whoever makes the calls writes each line to the journal too (`core.records.BudgetFact`),
and gives what the journal has back to it at the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeAlias

from trimtab.policy.caps import Amount, Cap, caps_of
from trimtab.policy.spec import BudgetSpec

_NOTHING: Mapping[str, Amount] = {}
_DAYS_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sum:
    """What calls used, or may use. `unpriced` counts those whose dollars are not known and hence not in `usd`."""

    usd: Decimal = Decimal(0)
    tokens: int = 0
    turns: int = 0
    unpriced: int = 0

    def __add__(self, other: Sum) -> Sum:
        """Add unit by unit."""
        return Sum(
            self.usd + other.usd,
            self.tokens + other.tokens,
            self.turns + other.turns,
            self.unpriced + other.unpriced,
        )

    def __sub__(self, other: Sum) -> Sum:
        """Subtract unit by unit."""
        return Sum(
            self.usd - other.usd,
            self.tokens - other.tokens,
            self.turns - other.turns,
            self.unpriced - other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class Want:
    """A call that is to be made, and what it may use at most. `usd` None: its price is not known."""

    run_id: str
    step: str
    environment: str
    role: str
    usd: Decimal | None
    tokens: int
    turns: int = 1

    @property
    def amounts(self) -> Sum:
        """What is set aside for it."""
        known = self.usd is not None
        return Sum(self.usd or Decimal(0), self.tokens, self.turns, 0 if known else 1)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for a call, for the UTC day on which it was."""

    want: Want
    day: date


@dataclass(frozen=True, slots=True)
class Refused:
    """The call would pass a cap. `until`: when it may be tried again; None: when a person has seen to it."""

    reason: str
    until: datetime | None


@dataclass(slots=True)
class Account:
    """One thing that caps are held against: what is `gone` for good (settled or lost), and what is `held` by calls under way."""

    gone: Sum = field(default_factory=Sum)
    held: Sum = field(default_factory=Sum)


# Accounts of an environment's day by (environment, role), of a run by role; the role is empty for all together.
_Days: TypeAlias = dict[date, dict[tuple[str, str], Account]]
_Runs: TypeAlias = dict[str, dict[str, Account]]


class Budgets:
    """What every environment, role, day and run used, may yet use, and may use at most.

    All of it happens between two turns of the event loop, so a check and what it allows are one.
    """

    def __init__(self, budgets: Mapping[str, BudgetSpec] | None = None) -> None:
        self._budgets = dict(budgets or {})
        self._caps: dict[tuple[str, str], tuple[Cap, ...]] = {}
        self._days: _Days = {}
        self._runs: _Runs = {}
        self._open: dict[tuple[str, str], Reservation] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._loaded = asyncio.Event()
        if not self._budgets:
            self._loaded.set()

    def load(self, days: Iterable[tuple[str, str, date, Sum]] = (), runs: Iterable[tuple[str, str, Sum]] = ()) -> None:
        """Take over what the journal says was used, by (environment, role, day) and by (run, role).

        What was reserved when the process ended is part of it: nobody will ever say what those calls cost.
        """
        for environment, role, day, amounts in days:
            for account in self._accounts_of_day(day, environment, role):
                account.gone += amounts
        for run_id, role, amounts in runs:
            for account in self._accounts_of_run(run_id, role):
                account.gone += amounts
        self._loaded.set()

    def capped(self, environment: str) -> bool:
        """Whether anything is capped there; where not, nothing is counted."""
        return environment in self._budgets

    def account(self, environment: str, role: str, day: date) -> Account:
        """Give an account of a day; role empty: of all roles together."""
        return self._days.get(day, {}).get((environment, role), Account())

    def account_of_run(self, run_id: str, role: str) -> Account:
        """Give an account of a run; role empty: of all roles together."""
        return self._runs.get(run_id, {}).get(role, Account())

    async def hold(
        self, want: Want, today: Callable[[], date], raised: Mapping[str, Amount] = _NOTHING
    ) -> Reservation | Refused:
        """As `reserve`, but wait while it is only calls under way that stand in the way: they mostly take less."""
        await self._loaded.wait()
        while (answer := self.reserve(want, today(), raised)) is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return answer

    def reserve(self, want: Want, day: date, raised: Mapping[str, Amount] = _NOTHING) -> Reservation | Refused | None:
        """Set aside what a call may cost, or say which caps it would pass; None: not before others have settled.

        `raised` gives this run more of the caps it names, of all roles together and of single roles alike, where it is more than
        the policy gives; a cap that the policy has not is not made.
        """
        over: list[tuple[Cap, Amount, Amount]] = []
        wait = False
        for cap in self._caps_for(want):
            account = self._account(cap, want, day)
            if cap.unit == "usd" and (want.usd is None or account.gone.unpriced):
                return _unpriced(cap, want)
            gone, held, need = (getattr(s, cap.unit) for s in (account.gone, account.held, want.amounts))
            amount = max(cap.amount, raised.get(cap.name, cap.amount))
            if gone + need > amount:
                over.append((cap, amount, gone))
            wait = wait or gone + held + need > amount
        if over:
            return _refused(over, want, day)
        if wait:
            return None
        held = self._open[want.run_id, want.step] = Reservation(want, day)
        for account in self._accounts(held):
            account.held += want.amounts
        return held

    def settle(self, held: Reservation, used: Sum) -> bool:
        """Put what a call did use in the place of what was set aside for it; False where nothing is (any more)."""
        if self._open.pop((held.want.run_id, held.want.step), None) is None:
            return False
        for account in self._accounts(held):
            account.held -= held.want.amounts
            account.gone += used
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        return True

    def lose(self, held: Reservation) -> bool:
        """Count all that was set aside as used: the call was made and nobody knows what it took."""
        return self.settle(held, held.want.amounts)

    def forget(self, run_id: str) -> None:
        """Drop the accounts of a run that has ended."""
        self._runs.pop(run_id, None)

    def _caps_for(self, want: Want) -> tuple[Cap, ...]:
        place = want.environment, want.role
        if place not in self._caps:
            budget = self._budgets.get(want.environment, BudgetSpec())
            self._caps[place] = tuple(caps_of(want.environment, budget, want.role))
        return self._caps[place]

    def _account(self, cap: Cap, want: Want, day: date) -> Account:
        if cap.per == "run":
            return self.account_of_run(want.run_id, cap.role)
        return self.account(want.environment, cap.role, day)

    def _accounts(self, held: Reservation) -> list[Account]:
        want = held.want
        by_day = self._accounts_of_day(held.day, want.environment, want.role)
        return [*by_day, *self._accounts_of_run(want.run_id, want.role)]

    def _accounts_of_day(self, day: date, environment: str, role: str) -> list[Account]:
        if day not in self._days:
            # A worker runs for months; what was long ago is held against nothing.
            self._days = {d: accounts for d, accounts in self._days.items() if day - d <= _DAYS_KEPT}
        accounts = self._days.setdefault(day, {})
        return [accounts.setdefault((environment, r), Account()) for r in ("", role)]

    def _accounts_of_run(self, run_id: str, role: str) -> list[Account]:
        accounts = self._runs.setdefault(run_id, {})
        return [accounts.setdefault(r, Account()) for r in ("", role)]


def _unpriced(cap: Cap, want: Want) -> Refused:
    what = "the price of this call" if want.usd is None else "what earlier calls cost"
    return Refused(f"{cap.path} cannot be held: {what} is not known", None)


def _refused(over: list[tuple[Cap, Amount, Amount]], want: Want, day: date) -> Refused:
    need = want.amounts
    reasons = [
        f"{cap.path}: {_shown(cap, gone)} of {_shown(cap, amount)} are used and this call may take "
        f"{_shown(cap, getattr(need, cap.unit))}"
        for cap, amount, gone in over
    ]
    # No night brings back what a run used, nor makes a call fit that is larger than the whole cap.
    passes = all(cap.per == "day" and getattr(need, cap.unit) <= amount for cap, amount, _ in over)
    midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
    return Refused("; ".join(reasons), midnight if passes else None)


def _shown(cap: Cap, amount: Amount) -> str:
    return f"${Decimal(amount).normalize():f}" if cap.unit == "usd" else f"{amount:,} {cap.unit}"
