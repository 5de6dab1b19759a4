"""A spike that goes on, where hours have too few runs to tell, and between the hours of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trimtab.core.watched import Spent, SpentHour, Watched
from trimtab.learn.watch import look
from trimtab.learn.watch_state import Limits

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def spent(runs: int, a_run: float = 0.02) -> Spent:
    usd = runs * a_run
    return Spent(4 * runs, usd, usd * a_run / 4, 5000.0 * runs, 5000.0**2 * runs / 4, runs=runs)


def told(last: list[Spent], hour: Spent | None = None, usual: Spent | None = None) -> list[tuple[bool, str]]:
    """Look at the end of a week of usual hours whose last ones were these; without an hour, it is the last of them."""
    hours = [usual or spent(40)] * (168 - len(last)) + last
    listed = [SpentHour(NOW - HOUR * (len(hours) - n), each) for n, each in enumerate(hours)]
    return [
        (trouble.told, trouble.what)
        for trouble in look(Watched("production", NOW, listed, (), hour or last[-1], NOW), Limits())
        if trouble.cause == "spend_spike/production"
    ]


DEAR, THIN = spent(40, 0.06), spent(4, 0.06)


def test_a_night_with_few_runs_does_not_end_a_spike_of_what_a_run_costs():
    ((is_told, what),) = told([DEAR, DEAR, THIN])
    assert is_told
    assert what.endswith("3.0 times the usual $0.0200: $2.40 for 40 runs (no hour since has 10 runs to judge by)")
    assert "from 2026-11-20 10:00 UTC on" in what


def test_the_next_morning_is_the_same_spike_and_not_what_is_usual_by_itself():
    ((is_told, what),) = told([DEAR, *[THIN] * 10, DEAR])
    assert is_told
    assert "3.0 times the usual" in what


@pytest.mark.parametrize("last", [[DEAR, spent(40)], [DEAR, spent(40), THIN], [DEAR, *[spent(4)] * 3]])
def test_it_is_over_when_runs_enough_cost_what_is_usual_be_it_in_several_hours(last: list[Spent]):
    assert told(last) == []


def test_it_is_over_a_day_after_the_last_run_that_could_be_judged():
    assert told([DEAR, *[Spent()] * 25]) == []


def test_few_runs_that_were_a_little_cheaper_keep_an_alert_open_and_open_none():
    ((is_told, what),) = told([DEAR, DEAR], spent(12, 0.038))
    assert not is_told
    assert what.endswith("1.9 times the usual $0.0200: $0.4560 for 12 runs, which are too few to say that it is over")


def test_a_spike_that_was_told_between_two_hours_of_the_clock_is_kept_on_by_what_is_less():
    own = [spent(40, 0.055), spent(40)]  # 2.75 times by itself: from 3.6 times on it is told
    assert told([*own, spent(40, 0.066)], spent(40, 0.075))[0][0]
    ((is_told, _),) = told([*own, spent(40, 0.066)], spent(40, 0.07))
    assert not is_told
