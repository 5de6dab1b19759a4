"""Kill -9 at every boundary of every step and inside every write of the charter example, in short.

`make bench-chaos` does every moment of every scenario; here it is a spread of them, the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.charter_chaos import (
    ALL,
    ROOT,
    SCENARIOS,
    Api,
    Workers,
    moments,
    sample,
    second_kill,
    storm,
    trial,
    undisturbed,
    workers_of,
)


@pytest.fixture(scope="module")
def workers(tmp_path_factory) -> Iterator[Workers]:
    with workers_of(tmp_path_factory.mktemp("workers")) as started:
        yield started


@pytest.mark.parametrize(
    ("name", "number"), [(name, 30 if scenario.whole else 12) for name, scenario in SCENARIOS.items()]
)
def test_killed_wherever_it_may_be_nothing_is_lost_and_nothing_is_done_twice(workers, tmp_path, name, number):
    scenario = SCENARIOS[name]
    wanted = undisturbed(workers, tmp_path / "undisturbed", scenario)
    points = moments(tmp_path / "undisturbed")
    for place in sample(points, number):
        kills = [points[place], second_kill(points, place)]
        tally = trial(workers, tmp_path / str(place), scenario, kills, wanted)
        assert tally.fine, "\n".join(tally.wrong)
        assert tally.kills >= 1 or scenario.cancel_at  # what comes after somebody cancelled depends on the moment


def test_there_are_more_than_two_hundred_moments_in_the_widest_request_alone(workers, tmp_path):
    undisturbed(workers, tmp_path / "undisturbed", SCENARIOS["R02"])
    points = moments(tmp_path / "undisturbed")
    assert len(points) > 200
    assert len([p for p in points if "statement" in p]) > 60


def test_a_worker_that_is_killed_in_each_of_ten_lives_still_comes_to_the_same_end(workers, tmp_path):
    scenario = SCENARIOS["R02"]
    wanted = undisturbed(workers, tmp_path / "undisturbed", scenario)
    points = moments(tmp_path / "undisturbed")
    tally = trial(workers, tmp_path / "killed", scenario, [points[place] for place in sample(points, 10)], wanted)
    assert tally.fine, "\n".join(tally.wrong)
    assert tally.kills >= 5


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_while_the_model_api_fails_every_fifth_time_all_thirty_requests_come_to_a_named_state(
    workers, tmp_path, seed
):
    wanted = undisturbed(workers, tmp_path / "undisturbed", ALL)
    with Api(str(ROOT / "bench" / "chaos" / "trouble.toml"), seed) as api:
        found = storm(workers, tmp_path / "killed", api, seed=seed, kills=6, longest=1.0, wanted=wanted)
    assert found.tally.fine, "\n".join(found.tally.wrong)
    assert found.statuses.total() == 30
    assert found.calls.total() - found.calls[""] > 20
    assert found.retries > 20
