"""Prices: list price, deposit, what a trip costs, what is left, and what a person earns on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from .money import ZERO, cents, percent
from .world import World


@dataclass(frozen=True, slots=True)
class Price:
    """One option: these vessels for so many hours."""

    vessels: tuple[str, ...]
    hours: Decimal
    capacity: int
    total: Decimal
    deposit: Decimal
    crew_cost: Decimal
    captain_cost: Decimal
    port_fee: Decimal
    net: Decimal


def duration(start: datetime, end: datetime) -> Decimal:
    """Give the hours of a trip."""
    return Decimal(int((end - start) / timedelta(minutes=1))) / 60


def list_price(world: World, vessels: Iterable[str], hours: Decimal) -> Decimal:
    """Give the list price of these vessels for so many hours."""
    return cents(sum((world.vessels[v].rate for v in vessels), Decimal(0)) * hours)


def deposit_of(world: World, total: Decimal) -> Decimal:
    """Give the deposit on a price."""
    return percent(total, world.policies.deposit_pct)


def price(world: World, vessels: Sequence[str], hours: Decimal, total: Decimal | None = None) -> Price:
    """Work an option out, at the list price or at another total."""
    gross = list_price(world, vessels, hours) if total is None else total
    crew = cents(sum((world.vessels[v].crew * deckhand_pay(world, hours) for v in vessels), ZERO))
    captain = cents(sum((world.vessels[v].captains * captain_pay(world, hours) for v in vessels), ZERO))
    fee = percent(gross, world.costs.port_fee_pct)
    return Price(
        vessels=tuple(vessels),
        hours=hours,
        capacity=sum(world.vessels[v].capacity for v in vessels),
        total=gross,
        deposit=deposit_of(world, gross),
        crew_cost=crew,
        captain_cost=captain,
        port_fee=fee,
        net=gross - crew - captain - fee,
    )


def options(world: World, vessels: Sequence[str], hours: Sequence[Decimal], party: int) -> list[Price]:
    """Give each vessel alone and all together, for each duration; those too small for the party only if all are."""
    together = [tuple(vessels)] if len(vessels) > 1 else []
    found = [price(world, group, h) for h in hours for group in [*((v,) for v in vessels), *together]]
    return [option for option in found if option.capacity >= party] or found


def captain_pay(world: World, hours: Decimal) -> Decimal:
    """Give what one captain earns on a trip."""
    extra = max(Decimal(0), hours - world.costs.captain_flat_hours)
    return cents(world.costs.captain_flat + world.costs.captain_extra_hour * extra)


def deckhand_pay(world: World, hours: Decimal) -> Decimal:
    """Give what one deckhand earns on a trip."""
    return cents(world.costs.crew_rate * (hours + world.costs.crew_extra_hours))


def own_pay(world: World, person: str, hours: Decimal) -> Decimal:
    """Give what this person earns on a trip of so many hours."""
    return captain_pay(world, hours) if person in world.captains else deckhand_pay(world, hours)
