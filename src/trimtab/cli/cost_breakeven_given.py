"""The break-even of given numbers; needs nothing but arithmetic."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trimtab.cli.show import console
from trimtab.core.errors import UsageError
from trimtab.learn.amounts import money
from trimtab.learn.breakeven import BreakEven, break_even, dearer_below

Number = Decimal | None


def json_of(cost_a: Number, cost_b: Number, success_a: Number, success_b: Number) -> dict[str, Any]:
    """Give everything as JSON: V* where all four are given, and the success rate below which the cheap one is dearer per success."""
    found = _v_star(cost_a, cost_b, success_a, success_b)
    below = _below(cost_a, cost_b, success_a, success_b)
    return {
        "pays": found and found.pays,
        "v_star": found and found.at,
        "cheaper": below and below[0],
        "dearer_per_success_below": below and below[1],
        "usd_per_success": {"a": _per_success(cost_a, success_a), "b": _per_success(cost_b, success_b)},
        "lines": _lines(cost_a, cost_b, success_a, success_b),
    }


def print_given(cost_a: Number, cost_b: Number, success_a: Number, success_b: Number) -> None:
    """Print every sum."""
    for line in _lines(cost_a, cost_b, success_a, success_b):
        console().print(line, soft_wrap=True)


def _lines(cost_a: Number, cost_b: Number, success_a: Number, success_b: Number) -> list[str]:
    found = _v_star(cost_a, cost_b, success_a, success_b)
    told: list[str] = []
    if found and cost_a is not None and cost_b is not None and success_a is not None and success_b is not None:
        told.append(f"B: {money(cost_b - cost_a, sign=True)} a run, {_points(success_b - success_a)} of success")
        told.append(_pays(found, cost_b - cost_a, success_b - success_a))
    for name, cost, success in (("A", cost_a, success_a), ("B", cost_b, success_b)):
        each = _per_success(cost, success)
        if each is not None and cost is not None and success is not None:
            told.append(
                f"tried until it succeeds, {name} costs {money(cost)} / {_percent(success)} = {money(each)} per success"
            )
        elif success is not None:
            told.append(f"tried until it succeeds, {name} has no end: it never succeeds")
    below = _below(cost_a, cost_b, success_a, success_b)
    if below is None:
        return told
    cheap, rate, cost, other_cost, other = below
    told.append(
        f"{cheap} is dearer per success only where it succeeds less than "
        f"{_percent(other)} x {money(cost)} / {money(other_cost)} = {_percent(rate)}"
    )
    return told


def _pays(found: BreakEven[Decimal], dollars: Decimal, success: Decimal) -> str:
    match found.pays:
        case "above" | "below":
            sum_ = f"V* = {money(dollars)} / {_points(success)} = {money(found.at or Decimal(0))}"
            more = "more" if found.pays == "above" else "less"
            return f"{sum_}: B pays where a failed run loses {more} than that"
        case "always":
            return "B pays at any loss: it is no dearer and fails no more often"
        case "never":
            return "B never pays: it is no cheaper and fails no less often"
        case "same":
            return "both cost the same and succeed as often"


def _v_star(cost_a: Number, cost_b: Number, success_a: Number, success_b: Number) -> BreakEven[Decimal] | None:
    if cost_a is None or cost_b is None:
        raise UsageError("--cost-a and --cost-b: what does a run cost on each?", hint="--cost-a 0.02 --cost-b 0.06")
    if success_a is None and success_b is None:
        raise UsageError("how often does a run succeed?", hint="--success-a 78% --success-b 88%")
    if success_a is None or success_b is None:
        return None
    return break_even(cost_b - cost_a, success_b - success_a)


def _below(
    cost_a: Number, cost_b: Number, success_a: Number, success_b: Number
) -> tuple[str, Decimal, Decimal, Decimal, Decimal] | None:
    if cost_a is None or cost_b is None or cost_a == cost_b:
        return None
    cheap, cost, other_cost, other = (
        ("A", cost_a, cost_b, success_b) if cost_a < cost_b else ("B", cost_b, cost_a, success_a)
    )
    if other is None:
        return None
    rate = dearer_below(cost, other_cost, other)
    return None if rate is None else (cheap, rate, cost, other_cost, other)


def _per_success(cost: Number, success: Number) -> Number:
    return cost / success if cost is not None and success else None


def _points(share: Decimal) -> str:
    return f"{float(share) * 100:+.4g} points"


def _percent(share: Decimal) -> str:
    return f"{float(share) * 100:.3g} %"
