"""Workers killed with SIGKILL: what was acknowledged is kept, what was journaled is not done again.

TRIMTAB_CRASH_ROUNDS=200 pytest tests/integration/test_crash.py     makes as many rounds of random kills.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integration.crash import KILLED, Chaos, Workers, kill_at_boundary, kill_at_random, workers_of

ROUNDS = int(os.environ.get("TRIMTAB_CRASH_ROUNDS", "3"))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with workers_of() as started:
        yield started


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_random_moments_every_accepted_run_ends_and_nothing_journaled_is_repeated(workers, tmp_path, seed):
    left = kill_at_random(workers, tmp_path, seed=seed, kills=6, runs=12, longest=0.35)
    assert len(left.runs) == 72


@pytest.mark.parametrize("key", ["k1", "k9"])
def test_killed_at_every_boundary_of_every_step_a_run_ends_as_if_nothing_had_been(workers, tmp_path, key):
    number = 1
    while kill_at_boundary(workers, _folder(tmp_path, number), number, [key]):
        number += 1
    assert number > 24


def test_a_worker_that_is_killed_in_every_life_still_gets_on(workers, tmp_path):
    chaos = Chaos(workers, tmp_path)
    lives = 0
    # Three boundaries are the work and the commit of one step: every life finishes at least one.
    while chaos.generation(["k1"], kill_at=3 + lives * 3, pace=0) == KILLED:
        lives += 1
        assert lives < 60
    chaos.check()
    assert lives > 3


def _folder(tmp_path, number):
    made = tmp_path / str(number)
    made.mkdir()
    return made
