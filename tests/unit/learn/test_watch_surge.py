"""Surges of demand on counts alone; what they tell of two weeks of real arrivals is in `make bench-watch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.watched import Spent, SpentHour, Watched
from trimtab.learn.watch import knows, look
from trimtab.learn.watch_state import Limits
from trimtab.learn.watch_surge import DAY, HOUR, Surges

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
END = int(NOW.timestamp()) // 600
RUNS = 30


def even(days: float = 7, changed: Mapping[int, int] | None = None) -> dict[int, int]:
    """Thirty runs every ten minutes, but for the slots `changed`, counted back from now (1 is the last)."""
    counts = {END - back: RUNS for back in range(1, int(days * DAY) + 1)}
    return counts | {END - back: runs for back, runs in (changed or {}).items()}


def surge(times: float, slots: int = 3, ago: int = 0) -> dict[int, int]:
    return {ago + back: int(RUNS * times) for back in range(1, slots + 1)}


def is_told(counts: Mapping[int, int], factor: float = 3.0) -> bool:
    found = Surges(counts, END, factor).now()
    return found is not None and not found.goes_on


def test_three_times_as_many_runs_are_told_within_half_an_hour():
    found = Surges(even(changed=surge(3)), END).now()
    assert found is not None
    assert (found.goes_on, found.runs, found.minutes) == (False, 270, 30)
    assert found.expected == 90
    assert found.since == END - 3


@pytest.mark.parametrize("times", [0.0, 0.5, 1.0, 1.3])
def test_less_or_hardly_more_than_usual_is_no_surge(times: float):
    assert Surges(even(changed=surge(times, 6)), END).now() is None


def test_nothing_is_told_before_three_days_are_known_or_of_a_few_runs():
    assert is_told(even(days=3, changed=surge(6)))
    assert not is_told(even(days=2.9, changed=surge(6)))
    few = {END - back: 1 for back in range(6, 7 * DAY, 12)}
    assert not is_told(few | {END - 1: 9, END - 2: 9})
    assert Surges({}, END).now() is None


def test_a_factor_that_was_asked_for_moves_the_limit():
    twice = even(days=14, changed=surge(2.6))
    assert is_told(twice)
    assert not is_told(twice, factor=6.0)


def test_a_record_that_surges_by_itself_is_told_beyond_its_second_highest_surge_only():
    own = surge(4, ago=2 * DAY) | surge(4, ago=5 * DAY)
    assert not is_told(even(changed=own | surge(3)))
    assert is_told(even(changed=own | surge(8)))
    # One odd hour in a fortnight hides nothing.
    assert is_told(even(changed=surge(40, ago=5 * DAY) | surge(3)))


def test_the_next_surge_is_told_from_a_third_more_on_where_the_record_is_calm_and_from_twenty_times_where_it_is_not():
    own = surge(4, ago=2 * DAY) | surge(4, ago=5 * DAY)
    calm, restless = (Surges(even(14, changed), END).now() for changed in (surge(3), own | surge(8)))
    assert calm is not None
    assert restless is not None
    assert calm.larger == pytest.approx(4 / 3)
    assert restless.larger == 20


def test_a_morning_that_comes_every_day_is_no_surge():
    busy = {END - back: 200 for day in range(9) for back in range(DAY * day + 1, DAY * day + 4)}
    assert not is_told({END - back: 20 for back in range(1, 9 * DAY)} | busy)


def test_a_surge_goes_on_and_is_over_when_runs_are_as_before():
    on = Surges(even(changed=surge(3, 2 * HOUR)), END).now()
    assert on is not None
    assert on.goes_on
    assert on.since == END - 2 * HOUR
    after = surge(3, 3 * HOUR, ago=HOUR)
    assert Surges(even(changed=after), END).now() is None


def test_surges_less_than_a_day_apart_are_one_thing_that_began_with_the_first():
    found = Surges(even(changed=surge(3, ago=100) | surge(3, ago=200) | surge(3, ago=500) | surge(9)), END).now()
    assert found is not None
    assert not found.goes_on
    assert found.since == END - 203


@given(st.lists(st.integers(0, 60), min_size=2 * DAY, max_size=2 * DAY), st.integers(DAY + 1, 2 * DAY))
def test_what_comes_later_changes_no_score(counts: list[int], cut: int):
    counts[0] = 1
    known = {slot: runs for slot, runs in enumerate(counts) if runs}
    before = Surges({slot: runs for slot, runs in known.items() if slot < cut}, cut)
    assert before.best(cut) == Surges(known, 2 * DAY).best(cut)


# -- in the watch ------------------------------------------------------------------------------------------------------


def watched(arrivals: Mapping[int, int]) -> Watched:
    """An environment whose dollars say nothing: only its arrivals do."""
    an_hour = Spent(calls=4 * 180, usd=3.6, usd_squares=0.02, tokens=1e6, token_squares=1e9, runs=180)
    hours = [SpentHour(NOW - timedelta(hours=back), an_hour) for back in range(168, 0, -1)]
    return Watched("production", NOW, hours, (), replace(an_hour, usd=4.0), NOW, arrivals)


def test_a_surge_is_a_spend_spike_that_says_what_came_and_what_was_expected():
    (found,) = look(watched(even(changed=surge(3))), Limits())
    assert (found.cause, found.told) == ("spend_spike/production", True)
    assert found.what == (
        "production accepted 270 runs in the last 30 minutes, 3.0 times the 90 that were to be expected; the last hour cost $4.00"
    )
    assert found.size == 3.0
    assert isinstance(found.evidence, dict)
    assert found.evidence["look"] == "runs"
    assert look(watched(even()), Limits()) == []


def test_what_is_known_says_from_when_on_runs_are_told():
    assert knows(watched(even()), Limits())[0].what.endswith("; runs from 1.8 times those before")
    assert "runs from" not in knows(watched({}), Limits())[0].what
