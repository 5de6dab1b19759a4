from __future__ import annotations

import inspect
import json
import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core import errors
from trimtab.core.outcome import Done, Failed, Handoff, Rejected, Retry, Status, is_outcome
from trimtab.core.pin import Pin, RoleChoice, pin_from_json
from trimtab.core.usage import Usage, add_costs

counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts, counts)


@given(st.lists(usages, max_size=5))
def test_usage_adds_kind_by_kind(listed):
    total = sum(listed, Usage())
    assert total.input == sum(u.input for u in listed)
    assert total.cache_write_1h == sum(u.cache_write_1h for u in listed)
    assert total.total == sum(u.total for u in listed)
    assert total.prompt == total.total - total.output


@given(st.lists(st.decimals(0, 100, places=9), max_size=6))
def test_dollars_add_exactly_and_one_unknown_price_makes_the_sum_unknown(costs):
    assert add_costs(costs) == sum(costs, Decimal(0))
    assert add_costs([*costs, None]) is None


def test_the_error_tree_is_the_one_drawn_on_top():
    drawn = [re.match(r"([│├└─ ]*)(\w+Error)", line) for line in (errors.__doc__ or "").splitlines()]
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for found in filter(None, drawn):
        depth, name = len(found[1]), found[2]
        path = [*(p for p in path if p[0] < depth), (depth, name)]
        parents[name] = path[-2][1] if len(path) > 1 else "Exception"
    declared = {n: c for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, Exception)}
    assert parents == {n: c.__bases__[0].__name__ for n, c in declared.items()}
    assert all(c.__doc__ for c in declared.values())


def test_an_error_reads_as_a_message_and_a_hint():
    assert str(errors.UsageError("no 'x'", hint="say y")) == "no 'x'\nhint: say y"
    assert str(errors.UsageError("no 'x'")) == "no 'x'"


@pytest.mark.parametrize("outcome", [Done(1), Handoff(Status.CLARIFY, None), Retry("r"), Rejected("r"), Failed("r")])
def test_outcomes_are_told_from_plain_values(outcome):
    assert is_outcome(outcome)
    assert not is_outcome(outcome.__class__)


def test_failing_being_cancelled_and_stalling_are_no_intended_ends():
    stalled = {s for s in Status if s.stalls}
    assert stalled == {Status.NEEDS_YOU, Status.PAUSED_BUDGET, Status.NEEDS_CREDENTIAL}
    assert {s for s in Status if not s.intended} == {Status.FAILED, Status.CANCELLED, *stalled}


def test_a_pin_comes_back_as_it_was_written():
    roles = {"orchestrator": RoleChoice("anthropic:a", 100, "low", "d1"), "payment": RoleChoice("openai:b", 200)}
    pin = Pin(roles, "staging", "p", date(2026, 6, 8), "treatment", 0.25)
    assert pin_from_json(json.loads(json.dumps(pin.as_json()))) == pin
