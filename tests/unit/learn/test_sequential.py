from __future__ import annotations

import numpy as np
import pytest

from trimtab.core.errors import UsageError
from trimtab.learn.sequential import obrien_fleming


@pytest.mark.parametrize(
    ("looks", "alpha", "constant"),
    [(1, 0.05, 1.960), (2, 0.05, 1.977), (3, 0.05, 2.004), (5, 0.05, 2.040), (10, 0.05, 2.087), (3, 0.01, 2.595)],
)
def test_the_constants_are_those_of_jennison_and_turnbull_table_2_3(looks, alpha, constant):
    assert obrien_fleming(looks, alpha).constant == pytest.approx(constant, abs=6e-4)


def test_the_first_looks_ask_for_much_and_the_last_for_little_more_than_a_single_test():
    plan = obrien_fleming(14)
    assert plan.z[0] > 7
    assert plan.z[-1] == pytest.approx(2.107, abs=1e-3)
    assert list(plan.z) == sorted(plan.z, reverse=True)
    assert plan.nominal[-1] == pytest.approx(0.0351, abs=1e-3)


def test_simulated_walks_cross_as_often_as_they_should():
    plan = obrien_fleming(6, 0.1)
    walks = np.cumsum(np.random.default_rng(31).standard_normal((40_000, 6)), 1) / np.sqrt(np.arange(1, 7))
    ever = (np.abs(walks) >= np.array(plan.z)).any(1).mean()
    assert ever == pytest.approx(0.1, abs=3 * (0.1 * 0.9 / 40_000) ** 0.5)


def test_a_statistic_on_the_boundary_has_alpha_as_its_p_value_at_every_look():
    plan = obrien_fleming(8, 0.05)
    assert [plan.p_value(look, z) for look, z in enumerate(plan.z, 1)] == pytest.approx([0.05] * 8, abs=1e-8)
    assert plan.crossed(3, plan.z[2])
    assert not plan.crossed(3, -plan.z[2] + 1e-6)


def test_p_values_fall_from_one_towards_zero():
    plan = obrien_fleming(5)
    found = [plan.p_value(5, z) for z in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 50.0, np.inf)]
    assert found[0] == 1
    assert found == sorted(found, reverse=True)
    assert 0 < found[5] < 1e-13


def test_a_single_look_is_the_ordinary_test():
    assert obrien_fleming(1).p_value(1, 1.959964) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: obrien_fleming(0), "looks is 0"),
        (lambda: obrien_fleming(5, 0), "alpha is 0"),
        (lambda: obrien_fleming(5).crossed(6, 1.0), "look 6 of a plan with 5"),
        (lambda: obrien_fleming(5).p_value(1, float("nan")), "z is nan"),
    ],
)
def test_what_cannot_be_planned_is_refused(bad, says):
    with pytest.raises(UsageError, match=says):
        bad()
