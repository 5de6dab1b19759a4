"""The company's facts: vessels, costs, policies, roster, blocks. Read from data; nothing here knows an id by heart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from trimtab import UsageError

from .wire import local

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_RULE = re.compile(r"every (\w+) (\d\d:\d\d)-(\d\d:\d\d)")
_PENALTY = re.compile(r"operator_cancel_within_(\d+)_days_penalty_pct")
_FLAT = re.compile(r"captain_flat_up_to_(\d+(?:\.\d+)?)h")


@dataclass(frozen=True, slots=True)
class VesselFacts:
    """One boat."""

    capacity: int
    rate: Decimal
    min_hours: Decimal
    crew: int
    captains: int


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trip costs the company."""

    crew_rate: Decimal
    crew_extra_hours: Decimal
    captain_flat: Decimal
    captain_flat_hours: Decimal
    captain_extra_hour: Decimal
    port_fee_pct: Decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """A row of the guest-cancel table: from so many days before, that share comes back."""

    days: int
    refund_pct: Decimal
    free_move: bool


@dataclass(frozen=True, slots=True)
class Policies:
    """Deposits, refunds, penalties, quiet hours."""

    deposit_pct: Decimal
    balance_days: int
    hold_hours: Decimal
    tiers: tuple[Tier, ...]
    no_show_minutes: int
    marketplace_no_show_minutes: int
    penalty_days: int
    penalty_pct: Decimal
    weather: str
    marketplace: str
    quiet: tuple[time, time]


@dataclass(frozen=True, slots=True)
class Block:
    """Time a vessel is away: whole days, or hours of a weekday."""

    vessel: str
    why: str
    first: date | None = None
    last: date | None = None
    weekday: int | None = None
    opens: time = time.min
    closes: time = time.min

    def on(self, day: date) -> tuple[datetime, datetime] | None:
        """Give the blocked span of a day, if any."""
        if (self.first and day < self.first) or (self.last and day > self.last):
            return None
        if self.weekday is not None and day.weekday() != self.weekday:
            return None
        closes = datetime.combine(day, self.closes)
        return datetime.combine(day, self.opens), closes if self.closes != time.min else closes + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class World:
    """Everything about a company that no run changes."""

    start: datetime
    vessels: Mapping[str, VesselFacts]
    costs: Costs
    policies: Policies
    turnaround: timedelta
    call_time: timedelta
    captains: tuple[str, ...]
    deckhands: tuple[str, ...]
    blocks: tuple[Block, ...]
    crew_replies: Mapping[str, str]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> World:
        """Read world.json. Raises UsageError naming what is missing."""
        try:
            return cls(
                start=local(given["now"]),
                vessels={name: _vessel(facts) for name, facts in given["vessels"].items()},
                costs=_costs(given["costs"]),
                policies=_policies(given["policies"]),
                turnaround=timedelta(minutes=given["turnaround_minutes"]),
                call_time=timedelta(minutes=given["call_time_minutes_before"]),
                captains=tuple(given["roster"]["captains"]),
                deckhands=tuple(given["roster"]["deckhands"]),
                blocks=tuple(_block(block) for block in given.get("blocks", ())),
                crew_replies=dict(given.get("crew_replies", {})),
            )
        except KeyError as error:
            raise UsageError(
                f"the world has no {error.args[0]!r}", hint="compare it with world.json of the example"
            ) from None

    def quiet(self, when: datetime) -> bool:
        """Whether texts must wait now."""
        since, until = self.policies.quiet
        now = when.time()
        return now >= since or now < until if since > until else since <= now < until

    def opening(self, when: datetime) -> datetime:
        """Give the end of the quiet hours that `when` lies in."""
        until = datetime.combine(when.date(), self.policies.quiet[1])
        return until if until > when else until + timedelta(days=1)

    def position(self, person: str) -> str | None:
        """Give the place a person on the roster may fill."""
        if person in self.captains:
            return "captain"
        return "deckhand" if person in self.deckhands else None


def _number(value: object) -> Decimal:
    return Decimal(str(value))


def _vessel(facts: Mapping[str, Any]) -> VesselFacts:
    return VesselFacts(
        capacity=facts["capacity"],
        rate=_number(facts["rate_per_hour"]),
        min_hours=_number(facts["min_hours"]),
        crew=facts["crew_needed"],
        captains=facts["captain_needed"],
    )


def _costs(costs: Mapping[str, Any]) -> Costs:
    flat = next(match for key in costs if (match := _FLAT.fullmatch(key)))
    paid = re.fullmatch(r"duration(?: \+ (\d+(?:\.\d+)?))?", costs["crew_paid_hours"])
    if paid is None:
        raise UsageError(f"crew_paid_hours: {costs['crew_paid_hours']!r} is no rule", hint='write "duration + 2"')
    return Costs(
        crew_rate=_number(costs["crew_rate_per_hour"]),
        crew_extra_hours=_number(paid[1] or 0),
        captain_flat=_number(costs[flat[0]]),
        captain_flat_hours=_number(flat[1]),
        captain_extra_hour=_number(costs["captain_extra_hour"]),
        port_fee_pct=_number(costs["port_fee_pct_of_gross"]),
    )


def _policies(policies: Mapping[str, Any]) -> Policies:
    direct, market = policies["direct"], policies["marketplace"]
    penalty = next(match for key in market if (match := _PENALTY.fullmatch(key)))
    quiet = re.match(r"(\d\d:\d\d)-(\d\d:\d\d)", policies["quiet_hours"])
    if quiet is None:
        raise UsageError(f"quiet_hours: {policies['quiet_hours']!r} is no span", hint='write "17:00-08:00 local"')
    tiers = [
        Tier(tier["days_before_min"], _number(tier["refund_pct_of_paid"]), free_move="alternative" in tier)
        for tier in direct["guest_cancel"]
    ]
    return Policies(
        deposit_pct=_number(direct["deposit_pct"]),
        balance_days=direct["balance_due_days_before"],
        hold_hours=_number(direct["hold_hours"]),
        tiers=tuple(sorted(tiers, key=lambda tier: -tier.days)),
        no_show_minutes=direct["no_show_wait_minutes"],
        marketplace_no_show_minutes=market["no_show_wait_minutes"],
        penalty_days=int(penalty[1]),
        penalty_pct=_number(market[penalty[0]]),
        weather=direct["weather"],
        marketplace=market["money"],
        quiet=(time.fromisoformat(quiet[1]), time.fromisoformat(quiet[2])),
    )


def _block(block: Mapping[str, Any]) -> Block:
    first, last = block.get("from"), block.get("to")
    days = (date.fromisoformat(first) if first else None, date.fromisoformat(last) if last else None)
    if "rule" not in block:
        if None in days:
            raise UsageError(f"block {block!r} has no end", hint='give "from" and "to", or a "rule"')
        return Block(block["vessel"], block["why"], *days)
    match = _RULE.fullmatch(block["rule"])
    if match is None or match[1].lower() not in (*_WEEKDAYS, "day"):
        raise UsageError(f"block rule {block['rule']!r} is not understood", hint='write "every Wednesday 15:00-19:00"')
    name = match[1].lower()
    weekday = None if name == "day" else _WEEKDAYS.index(name)
    return Block(
        block["vessel"], block["why"], *days, weekday, time.fromisoformat(match[2]), time.fromisoformat(match[3])
    )
