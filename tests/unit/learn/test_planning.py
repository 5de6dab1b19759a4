from __future__ import annotations

from math import inf

import numpy as np
import pytest

from trimtab.core.errors import UsageError
from trimtab.learn import paths
from trimtab.learn.planning import runs_to_verdict


@pytest.mark.parametrize(
    ("control", "treatment", "mean", "p80", "p90"), [(0.78, 0.88, 476, 694, 885), (0.88, 0.93, 1132, 1697, 2244)]
)
def test_it_comes_to_what_was_measured_run_by_run(control, treatment, mean, p80, p90):
    found = runs_to_verdict(control, treatment)
    assert found.mean == pytest.approx(mean, rel=0.06)
    assert found.p80 == pytest.approx(p80, rel=0.09)
    assert found.p90 == pytest.approx(p90, rel=0.09)
    assert found.p50 < found.mean
    assert (found.decided, found.wrong) == (1, pytest.approx(0, abs=0.004))


def test_blocks_come_to_what_the_bet_itself_takes():
    random = np.random.default_rng(41)
    treated = random.random((600, 1500)) < 0.3
    success = random.random((600, 1500)) < np.where(treated, 0.85, 0.7)
    took = paths.crossed_at(paths.binary_paths(treated, success, 0.3), 0.05)
    assert runs_to_verdict(0.7, 0.85, 0.3).mean == pytest.approx(took.mean(), rel=0.1)


def test_one_question_has_one_answer():
    assert runs_to_verdict(0.7, 0.9, streams=100) == runs_to_verdict(0.7, 0.9, streams=100)


def test_a_hopeless_plan_says_so():
    found = runs_to_verdict(0.90, 0.905, most=2000, streams=100)
    assert (found.p80, found.mean) == (inf, inf)
    assert found.decided < 0.1


def test_looking_at_one_side_only_is_quicker_and_never_ends_on_the_other():
    both, one = runs_to_verdict(0.9, 0.8), runs_to_verdict(0.9, 0.8, side="less")
    assert one.mean < both.mean
    assert one.wrong == 0
    assert runs_to_verdict(0.9, 0.8, side="more", most=3000, streams=200).decided < 0.05


def test_a_stricter_level_and_a_thinner_arm_take_longer():
    plain = runs_to_verdict(0.78, 0.88).p80
    assert runs_to_verdict(0.78, 0.88, alpha=0.01).p80 > plain
    assert runs_to_verdict(0.78, 0.88, share=0.1).p80 > plain


@pytest.mark.parametrize(
    ("rates", "says"),
    [((0.8, 0.8), "no number of runs"), ((0.0, 0.8), "p_control is 0.0"), ((0.8, 0.9, 1.0), "share is 1.0")],
)
def test_what_cannot_be_planned_is_refused(rates, says):
    with pytest.raises(UsageError, match=says):
        runs_to_verdict(*rates)
