"""Which changes to make together: the exact search, and what of experiments may be added up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learn.test_experiment import CUBE, NOW, TWO, run, stream, succeeds

from trimtab.learn.advise import Effect, read
from trimtab.learn.intervals import Interval
from trimtab.learn.measure import measure
from trimtab.learn.metrics import cohort
from trimtab.learn.portfolio import Change, Choice, by_estimate, by_low, choose, frontier
from trimtab.policy.spec import ExperimentSpec, RoleSpec

# Sixty-fourths add up without rounding, so that the two searches may be compared exactly.
shares = st.integers(-32, 32).map(lambda n: n / 64)
changes = st.builds(
    lambda roles, usd, gain, below, above: Change(frozenset(roles), Decimal(usd), gain, gain - below, gain + above, ""),
    st.sets(st.sampled_from("abcd"), min_size=1, max_size=2),
    st.integers(-50, 50),
    shares,
    st.integers(0, 16).map(lambda n: n / 64),
    st.integers(0, 16).map(lambda n: n / 64),
)


def every_set(listed: list[Change]) -> list[Choice]:
    found = []
    for size in range(len(listed) + 1):
        for chosen in combinations(listed, size):
            roles = [role for change in chosen for role in change.roles]
            if len(roles) == len(set(roles)):
                made = Choice()
                for change in chosen:
                    made = made.with_(change)
                found.append(made)
    return found


@settings(max_examples=200)
@given(st.lists(changes, max_size=7), st.sampled_from([by_low, by_estimate]))
def test_the_frontier_is_what_is_left_when_every_set_of_changes_is_tried(listed, worth):
    every = every_set(listed)
    best = {(c.usd, worth(c)) for c in every if not any(
        (o.usd <= c.usd and worth(o) > worth(c)) or (o.usd < c.usd and worth(o) >= worth(c)) for o in every)}  # fmt: skip
    found = frontier(listed, worth)
    assert [(c.usd, worth(c)) for c in found] == sorted(best)
    for choice in found:
        roles = [role for change in choice.changes for role in change.roles]
        assert len(roles) == len(set(roles))
        assert choice.usd == sum((c.usd for c in choice.changes), Decimal(0))


@settings(max_examples=200)
@given(st.lists(changes, max_size=6), st.integers(-100, 100), shares)
def test_the_chosen_is_the_best_of_all_that_fit(listed, most, least):
    fitting = [c for c in every_set(listed) if c.usd <= most and c.low >= least]
    found = choose(frontier(listed), Decimal(most), least)
    assert (found is None) == (not fitting)
    if found is not None:
        assert found.low == max(c.low for c in fitting)
        assert found.usd == min(c.usd for c in fitting if c.low == found.low)


def test_eight_roles_of_four_models_each_are_searched_exactly():
    listed = [
        Change(
            frozenset([f"role{role}"]), Decimal(7 * model + role), 0.01 * model, (3 * role + 5 * model) / 512, 0.1, ""
        )
        for role in range(8)
        for model in range(1, 5)
    ]
    found = choose(frontier(listed), Decimal(150), 0.0)
    assert found is not None
    assert found.usd <= 150
    # The search over money alone, role by role, in whole dollars, is another way to the same best.
    best = {0: 0.0}
    for role in range(8):
        options = [(0, 0.0), *((int(c.usd), c.low) for c in listed if c.roles == {f"role{role}"})]
        grown: dict[int, float] = {}
        for spent, low in best.items():
            for usd, more in options:
                grown[spent + usd] = max(grown.get(spent + usd, -1.0), low + more)
        best = grown
    assert found.low == max(low for usd, low in best.items() if usd <= 150)


def test_leaving_everything_as_it_is_is_a_choice():
    worse = Change(frozenset("a"), Decimal(10), -0.1, -0.2, 0.0, "")
    assert frontier([worse]) == [Choice()]
    assert choose([Choice()], Decimal(-1), 0.0) is None


# -- what experiments say ------------------------------------------------------------------------------------------

PINS = {"a": "old", "b": "old"}


def told(spec: ExperimentSpec = CUBE, runs: int = 600, pins: dict[str, str] = PINS, **more):
    made = [replace(r, roles=pins, **more) for r in stream(spec, runs, succeeds(0.95, 0.7))]
    return read(measure(spec, cohort(made, "x", spec.deadline, NOW)), made, ["a", "b"])


def test_each_factor_is_an_effect_of_its_own():
    found = told()
    assert [(e.before, e.after) for e in found.effects] == [({"a": "old"}, {"a": "m"}), ({"b": "old"}, {"b": "m"})]
    a, b = (effect.success for effect in found.effects)
    assert a.low > 0 > b.low
    assert 0 in b
    assert not found.notes


def test_an_arm_that_changes_every_role_is_one_effect():
    spec = replace(TWO, arms={"control": {}, "treatment": {"default": RoleSpec("m")}})
    (effect,) = told(spec).effects
    assert effect.after == {"a": "m", "b": "m"}
    assert effect.from_({"a": "old", "b": "m"}) is None


def test_an_effect_is_read_from_either_end_and_from_nowhere_else():
    effect = Effect("x", {"a": "old"}, {"a": "new"}, Interval(0.1, 0.05, 0.2, 0.95), Interval(1.0, 0.5, 2.0, 0.95))
    assert effect.from_({"a": "old", "b": "z"}) is effect
    back = effect.from_({"a": "new"})
    assert (back.before, back.after) == ({"a": "new"}, {"a": "old"})
    assert (back.success.low, back.success.high, back.dollars.estimate) == (-0.2, -0.05, -1.0)
    assert effect.from_({"a": "other"}) is None
    assert effect.from_({"b": "old"}) is None


@pytest.mark.parametrize(
    ("spec", "more", "why"),
    [
        (CUBE, {"runs": 60}, "60 runs are too few for an interval"),
        (CUBE, {"mismatches": (("p:old", "other"),)}, "not used while an alarm rings"),
        (replace(CUBE, factors={"a": RoleSpec(effort="high")}), {}, "it changes effort of a, not only its model"),
        (replace(CUBE, factors={"a": RoleSpec("old")}), {}, "it changes no model"),
        (replace(CUBE, factors={"zz": RoleSpec("m")}), {}, "zz had no model in its control runs"),
        (replace(TWO, arms={"control": {"a": RoleSpec("k")}, "treatment": {"a": RoleSpec("m")}}), {}, "its control is itself a change"),
    ],
)  # fmt: skip
def test_what_is_not_known_of_one_change_alone_is_named_and_not_used(spec, more, why):
    found = told(spec, **more)
    assert not found.effects
    assert all(why in note for note in found.notes)
    assert found.notes


def test_a_role_that_had_several_models_in_control_is_not_one_change():
    made = [
        replace(run(n, arm), roles={"a": f"m{n % 2}"})
        for n in range(400)
        for arm in [("control", "treatment")[n // 2 % 2]]
    ]
    found = read(measure(TWO, cohort(made, "x", TWO.deadline, NOW)), made, ["a"])
    assert not found.effects
    assert "a had m0, m1 in its control runs" in found.notes[0]
