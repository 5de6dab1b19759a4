from __future__ import annotations

import numpy as np
import pytest

from trimtab.core.errors import UsageError
from trimtab.learn import paths
from trimtab.learn.eprocess import BinaryBet, QuantileBet, RatioBet, SrmBet, TiltBet

STREAMS, RUNS = 3, 250
RANDOM = np.random.default_rng(11)
WEIGHTS = {
    "constant": np.full(RUNS, 0.5),
    "ramped": np.where(np.arange(RUNS) < 90, 0.1, 0.5),
    "adaptive": RANDOM.uniform(0.05, 0.95, (STREAMS, RUNS)),
}
TYPES = RANDOM.integers(0, 3, (STREAMS, RUNS))


def streamed(make, rows):
    paths_of: list[list[float]] = []
    for stream in range(STREAMS):
        bet, path = make(), []
        for row in zip(*(column[stream].tolist() for column in rows), strict=True):
            bet.update(*row)
            path.append(bet.log_e)
        paths_of.append(path)
    return np.array(paths_of)


@pytest.fixture(params=WEIGHTS)
def seen(request):
    weights = WEIGHTS[request.param]
    random = np.random.default_rng(12)
    treated = random.random((STREAMS, RUNS)) < weights
    success = random.random((STREAMS, RUNS)) < np.where(treated, 0.9, 0.7)
    value = np.exp(random.standard_normal((STREAMS, RUNS))) * np.where(treated, 1.4, 1.0)
    return treated, success, value, weights, np.broadcast_to(weights, treated.shape)


@pytest.mark.parametrize("side", ["both", "more", "less"])
def test_success_comes_to_the_same_run_by_run_and_at_once(seen, side):
    treated, success, _, weights, each = seen
    expected = streamed(lambda: BinaryBet(side=side), (treated, success, each))
    assert paths.binary_paths(treated, success, weights, side=side) == pytest.approx(expected, abs=1e-9)


def test_success_by_type_comes_to_the_same(seen):
    treated, success, _, weights, each = seen
    expected = streamed(BinaryBet, (treated, success, each, TYPES.astype(str)))
    assert paths.binary_paths(treated, success, weights, TYPES) == pytest.approx(expected, abs=1e-9)


def test_values_come_to_the_same(seen):
    treated, _, value, weights, each = seen
    assert paths.tilt_paths(treated, value, weights) == pytest.approx(
        streamed(TiltBet, (treated, value, each)), abs=1e-9
    )


def test_ratios_by_type_come_to_the_same(seen):
    treated, success, value, weights, each = seen
    expected = streamed(RatioBet, (treated, value, success.astype(float), each, TYPES.astype(str)))
    assert paths.ratio_paths(treated, value, success, weights, TYPES) == pytest.approx(expected, abs=1e-9)


def test_quantiles_come_to_the_same(seen):
    treated, _, value, weights, each = seen
    expected = streamed(lambda: QuantileBet(quantile=0.9), (treated, value, each))
    assert paths.quantile_paths(treated, value, weights, quantile=0.9) == pytest.approx(expected, abs=1e-9)


def test_splits_come_to_the_same(seen):
    treated, _, _, weights, each = seen
    assert paths.srm_paths(treated, weights) == pytest.approx(streamed(SrmBet, (treated, each)), abs=1e-9)


def test_one_stream_may_be_given_as_a_plain_list():
    path = paths.binary_paths([1, 0, 1], [1, 0, 1], 0.5)
    assert path.shape == (3,)
    assert path[-1] > 0


def test_it_says_when_each_stream_crossed():
    log_e = np.log(np.array([[1.0, 25.0, 1.0], [1.0, 2.0, 19.0]]))
    assert paths.crossed_at(log_e, 0.05).tolist() == [2, 0]


def test_false_winners_stay_below_five_per_cent_while_the_weight_ramps_under_drift():
    random = np.random.default_rng(13)
    late = np.arange(600) >= 300
    weights = np.where(late, 0.5, 0.1)
    treated = random.random((400, 600)) < weights
    success = random.random((400, 600)) < np.where(late, 0.75, 0.9)
    ever = (paths.crossed_at(paths.binary_paths(treated, success, weights), 0.05) > 0).mean()
    assert ever <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: paths.binary_paths([1, 0], [1, np.nan], 0.5), "row 2: success is nan"),
        (lambda: paths.binary_paths([1, 2], [1, 0], 0.5), "row 2: treated is 2.0"),
        (lambda: paths.tilt_paths([1, 0], [1, 0], [0.5, 1.0]), "row 2: propensity is 1.0"),
        (lambda: paths.tilt_paths([1, 0, 1], [1, 0], 0.5), "2 outcomes, but 3 arms"),
    ],
)
def test_what_cannot_be_used_is_refused_by_row(bad, says):
    with pytest.raises(UsageError, match=says):
        bad()
