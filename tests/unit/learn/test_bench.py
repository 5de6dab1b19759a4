"""The bench's own parts, on small sizes: that its seeds are fixed and that the rules of others behave as they are known to."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[3] / "bench" / "statistics"


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import measure

    return measure


@pytest.fixture
def traffic(measure):
    return measure.traffic


def test_a_measurement_repeats_to_the_digit(measure, traffic):
    make = partial(traffic.binary, control=0.7, treatment=0.9, share=0.5)
    first, again = (measure.binary(20, 300, "test", make) for _ in range(2))
    assert first["trimtab"].mean == again["trimtab"].mean
    assert first["trimtab"].ever > 0.5
    assert first["naive z"].mean < first["trimtab"].mean < first["GrowthBook sequential"].mean


def test_the_rules_of_others_take_a_ramp_under_drift_for_an_effect_and_ours_does_not(measure, traffic):
    found = measure.binary(60, 2000, "test", partial(traffic.drifting, effect=0.0, ramp=True))
    assert found["naive z"].ever > 0.9
    assert found["GrowthBook sequential"].ever > 0.5
    assert found["TensorZero"].ever > 0.5
    assert found["trimtab"].ever < 0.15


def test_the_type_of_a_request_explains_a_third_of_the_variance(traffic):
    seen = traffic.typed(np.random.default_rng(1), (1, 400_000), effect=True)
    rates = [seen.success[seen.types == kind].mean() for kind in (0, 1)]
    between = 0.25 * 0.75 * (rates[1] - rates[0]) ** 2
    assert between / seen.success.var() == pytest.approx(1 / 3, abs=0.01)
    assert seen.success[seen.treated].mean() == pytest.approx(0.88, abs=0.005)
    assert seen.success[~seen.treated].mean() == pytest.approx(0.78, abs=0.005)


def test_traffic_has_the_tokens_and_retries_it_claims(traffic):
    random = np.random.default_rng(2)
    treated, used, success = traffic.tokens(random, (1, 400_000), effect=True)
    per_success = [used[arm].sum() / success[arm].sum() for arm in (~treated, treated)]
    assert per_success == pytest.approx([35_800, 33_300], rel=0.01)
    treated, count = traffic.retries(random, (1, 400_000), 0.78, 0.88)
    assert [count[~treated].mean(), count[treated].mean()] == pytest.approx([0.28, 0.137], abs=0.005)


def test_intervals_are_asked_at_the_stop(measure):
    held = measure.coverage(20, 600)
    assert len(held) == 5
    assert min(held.values()) >= 0.8
