"""Caps by name: which hold for a call, what a person raised, and which cannot be held because a price is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias, cast

from trimtab.core.errors import UsageError
from trimtab.core.pin import RoleChoice
from trimtab.core.ports import PriceList
from trimtab.core.usage import Usage
from trimtab.core.values import Json
from trimtab.policy.problems import dotted
from trimtab.policy.spec import BudgetSpec, Caps

Unit: TypeAlias = Literal["usd", "tokens", "turns"]
Amount: TypeAlias = Decimal | int

NAMES = tuple(field.name for field in fields(Caps))
_ANY_USE = Usage(input=1, output=1)


@dataclass(frozen=True, slots=True)
class Cap:
    """One cap. `path` is its key in the policy file; `role` is empty where all roles count together."""

    path: str
    name: str
    unit: Unit
    per: Literal["run", "day"]
    role: str
    amount: Amount


def caps_of(environment: str, budget: BudgetSpec, role: str) -> Iterator[Cap]:
    """Give the caps that hold for calls of a role: those of all roles together, then its own."""
    yield from _caps(("budgets", environment), "", budget.caps)
    if role in budget.roles:
        yield from _caps(("budgets", environment, "roles", role), role, budget.roles[role])


def all_caps(environment: str, budget: BudgetSpec) -> Iterator[Cap]:
    """Give every cap of an environment."""
    yield from _caps(("budgets", environment), "", budget.caps)
    for role in sorted(budget.roles):
        yield from _caps(("budgets", environment, "roles", role), role, budget.roles[role])


def _caps(path: tuple[str, ...], role: str, caps: Caps) -> Iterator[Cap]:
    for name in NAMES:
        amount: Amount | None = getattr(caps, name)
        if amount is not None:
            unit, _, per = name.partition("_per_")
            yield Cap(dotted((*path, name)), name, cast("Unit", unit), cast("Literal['run', 'day']", per), role, amount)


def read_raised(raised: Mapping[str, object]) -> dict[str, Json]:
    """Check caps that a person gives a run, and write them as JSON keeps them exactly. Raises UsageError."""
    return {name: _read(name, amount) for name, amount in raised.items()}


def _read(name: str, amount: object) -> Json:
    if name not in NAMES:
        raise UsageError(f"no cap is called {name!r}", hint=f"expected one of {', '.join(NAMES)}")
    dollars = name.startswith("usd")
    try:
        # By way of text, so that 0.1 is a tenth.
        number = Decimal(str(amount))
    except InvalidOperation:
        number = Decimal(0)
    whole = number.is_finite() and number == number.to_integral_value()
    if isinstance(amount, bool) or not number.is_finite() or number <= 0 or not (dollars or whole):
        expected = "a number of dollars over 0" if dollars else "a whole number of 1 or more"
        raise UsageError(
            f"{name}: expected {expected}, not {str(amount)!r}", hint=f"{name}={'0.50' if dollars else 20}"
        )
    return f"{number:f}" if dollars else int(number)


def read_models(models: Mapping[str, str]) -> dict[str, Json]:
    """Check the full ids of models that a person gives a run by role. Raises UsageError."""
    for role, model in models.items():
        provider, colon, name = model.partition(":")
        if not (provider and colon and name):
            raise UsageError(
                f"{role}: expected a model as 'provider:full-id', not {model!r}", hint="trimtab policy show"
            )
    return dict(models)


def raised_amounts(raised: Mapping[str, Json]) -> dict[str, Amount]:
    """Read back what `read_raised` wrote."""
    return {n: Decimal(str(a)) if n.startswith("usd") else int(str(a)) for n, a in raised.items()}


def refuse_unpriced(
    environment: str, budget: BudgetSpec | None, roles: Mapping[str, RoleChoice], prices: PriceList, on: date
) -> None:
    """Refuse models without a price where dollars are capped: a guess would be no cap. Raises UsageError."""
    if budget is None:
        return
    for role, choice in sorted(roles.items()):
        cap = next((c for c in caps_of(environment, budget, role) if c.unit == "usd"), None)
        for model in (choice.model, *choice.escalate) if cap else ():
            if cap is not None and prices.cost(model, _ANY_USE, on) is None:
                raise UsageError(
                    f"role {role!r} may ask {model!r}, whose price is not known, so {cap.path} cannot be held",
                    hint="name a model with a price, or cap tokens or turns instead of dollars",
                )
