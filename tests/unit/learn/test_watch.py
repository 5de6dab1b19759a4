"""The detectors on values alone; what they do on two weeks of real arrivals is in `make bench-watch`."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.watched import (
    AlertFact,
    Answered,
    SettledFact,
    Spent,
    SpentHour,
    Standing,
    Trouble,
    Unpriced,
    Used,
    Watched,
)
from trimtab.learn.watch import CLOSED, OPEN, WORSE, knows, look, moves
from trimtab.learn.watch_state import Limits

HAIKU = "anthropic:claude-haiku-4-5"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def spent(runs: int, a_run: float = 0.02, calls: int = 4, **more: int) -> Spent:
    usd = runs * a_run
    return Spent(runs * calls, usd, usd * a_run / calls, 5000.0 * runs, 5000.0**2 * runs / calls, runs=runs, **more)


def watched(days: float = 7, runs: int = 40, hour: Spent | None = None, **more: object) -> Watched:
    """An environment as even as a clock, whose last hour was `hour`."""
    hours = [SpentHour(NOW - HOUR * back, spent(runs)) for back in range(int(days * 24), 0, -1)] if runs else []
    given: dict[str, object] = {
        "environment": "production", "now": NOW, "hours": hours, "settled": (), "hour": hour or spent(runs), "traffic_at": NOW,
    }  # fmt: skip
    return Watched(**(given | more))  # type: ignore[arg-type]


def causes(seen: Watched, **limits: object) -> list[str]:
    return [trouble.cause for trouble in look(seen, Limits(**limits)) if trouble.told]  # type: ignore[arg-type]


def test_an_even_week_has_nothing_wrong():
    assert look(watched(), Limits()) == []


@pytest.mark.parametrize(
    ("hour", "said"),
    [
        (spent(40, 0.06), "3.0 times the usual $0.0200"),
        (spent(40, 0.02, calls=12), ""),  # as many dollars in more calls is no spike
        (spent(40, 0.024), ""),
        (spent(120), "3.0 times the usual $0.8000"),
        (spent(60), ""),
    ],
)
def test_an_hour_of_three_times_the_dollars_is_told_whether_runs_cost_more_or_are_more(hour: Spent, said: str):
    found = look(watched(hour=hour), Limits())
    assert [t.cause for t in found] == (["spend_spike/production"] if said else [])
    assert all(said in t.what for t in found)


def test_dearer_runs_are_told_from_the_first_day_on_and_more_runs_from_the_third():
    assert causes(watched(days=1, hour=spent(40, 0.08))) == ["spend_spike/production"]
    assert causes(watched(days=1, hour=spent(200))) == []
    assert causes(watched(days=3, hour=spent(200))) == ["spend_spike/production"]


def test_without_a_day_only_the_cap_on_an_hour_holds():
    new = watched(days=0.5, hour=spent(400))
    assert causes(new) == []
    assert causes(new, usd_per_hour=5.0) == ["usd_per_hour/production"]
    assert not knows(new, Limits())[0].ready


def test_a_few_runs_a_day_do_not_shout():
    hours = [SpentHour(NOW - HOUR * back, spent(1)) for back in range(5, 168, 5)]
    assert causes(watched(hours=hours, hour=spent(6))) == []
    assert causes(watched(hours=hours, hour=spent(1, 0.2))) == []


def test_one_hour_that_costs_more_than_three_of_the_dearest_days_is_told_however_few_runs_there_are():
    hours = [SpentHour(NOW - HOUR * back, spent(1)) for back in range(5, 168, 5)]
    (found,) = look(watched(hours=hours, hour=spent(1, 50.0)), Limits())
    assert found.what == ("production spent $50.00 in the last hour; the dearest of the 6 days known came to $0.1000")


def test_an_hour_that_jumps_by_itself_every_few_days_is_no_spike_when_it_does_so_again():
    jumpy = [SpentHour(NOW - HOUR * back, spent(160 if back in (30, 54, 100) else 40)) for back in range(240, 0, -1)]
    assert causes(watched(hours=jumpy, hour=spent(160))) == []
    assert causes(watched(hours=jumpy, hour=spent(400))) == ["spend_spike/production"]


def test_where_prices_are_not_known_tokens_are_watched():
    hours = [
        SpentHour(NOW - HOUR * b, replace(spent(40), usd=0.0, usd_squares=0.0, unpriced=160)) for b in range(168, 0, -1)
    ]
    hour = replace(spent(40), usd=0.0, usd_squares=0.0, tokens=600_000.0, unpriced=160)
    (found,) = look(watched(hours=hours, hour=hour), Limits())
    assert "spent 15,000 tokens a run in the last hour, 3.0 times the usual 5,000 tokens" in found.what


def settled(
    days: int, runs: int, usd: float, *, since: int = 0, dearer: float = 1.0, seed: int = 1
) -> list[SettledFact]:
    """Hours of runs, the last `since` of them dearer."""
    dice, found = random.Random(seed), list[SettledFact]()
    for back in range(days * 24, 0, -1):
        cost = sum(dice.gammavariate(1, usd) for _ in range(runs)) * (dearer if back <= since else 1.0)
        good = sum(dice.random() < 0.9 for _ in range(runs))
        found.append(SettledFact("production", NOW - HOUR * back, runs, good, cost, 5000.0 * runs, 0))
    return found


def test_fifteen_per_cent_more_a_success_is_told_within_three_days():
    clean = watched(settled=settled(10, 100, 0.02))
    assert causes(clean) == []
    (found,) = look(watched(settled=settled(10, 100, 0.02, since=72, dearer=1.15)), Limits())
    assert found.cause == "chronic_burn/production"
    assert isinstance(found.evidence, dict)
    assert 0.1 < found.evidence["change"] < 0.2  # type: ignore[operator]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_burn_is_said_to_have_begun_when_it_did(seed: int):
    # Two weeks of chance before it must not become a part of it.
    (found,) = look(watched(days=14, settled=settled(14, 60, 0.02, since=60, dearer=1.25, seed=seed)), Limits())
    assert abs(found.since - (NOW - 60 * HOUR)) <= 12 * HOUR


def test_a_plan_is_held_against_the_first_days_too():
    first = watched(settled=settled(2, 100, 0.02), days=2)
    assert causes(first) == []
    assert causes(first, usd_per_success=0.0185) == ["chronic_burn/production"]
    assert causes(first, usd_per_success=0.03) == []


def test_costs_that_change_with_the_hour_of_day_are_no_burn():
    by_hour = [
        replace(hour, usd=hour.usd * (1.3 if hour.at.hour < 8 else 0.9)) for hour in settled(12, 200, 0.02, seed=3)
    ]
    assert causes(watched(settled=by_hour)) == []


def test_silence_is_told_where_there_was_always_traffic_and_not_where_nights_are_silent():
    until = [hour for hour in watched(days=8).hours if hour.at < NOW - 4 * HOUR]
    quiet = watched(hours=until, hour=Spent(), traffic_at=NOW - 4 * HOUR)
    (found,) = look(quiet, Limits())
    assert found.what.startswith("nothing has happened in production for 4 hours")
    at_night = [hour for hour in watched(days=8).hours if not 7 <= hour.at.hour < 12]
    assert causes(watched(hours=at_night, hour=Spent(), traffic_at=NOW - 5 * HOUR)) == []


def silent(hours: int, *gaps: tuple[int, int]) -> list[str]:
    """Say what is told after so many silent hours, where those from `first` to before `last`, counted back, were silent too."""
    known = [h for h in watched(days=10).hours if h.at < NOW - hours * HOUR]
    left = [h for h in known if not any(NOW - first * HOUR <= h.at < NOW - last * HOUR for first, last in gaps)]
    return causes(watched(hours=left, hour=Spent(), traffic_at=NOW - hours * HOUR))


def test_silence_has_to_last_twice_as_long_as_any_that_was_known():
    assert silent(2) == ["no_traffic/production"]
    assert silent(3, (52, 51)) == []
    assert silent(4, (52, 51)) == ["no_traffic/production"]
    assert silent(7, (132, 129)) == []
    assert silent(8, (132, 129)) == ["no_traffic/production"]


def test_nights_that_are_silent_are_held_against_silence_at_night_and_not_by_day():
    nights = [(24 * day + 14, 24 * day + 7) for day in range(10)]  # from ten in the evening to five
    assert silent(3, *nights[1:], nights[0]) == ["no_traffic/production"]
    assert silent(14, *nights[1:]) == []
    assert silent(30, *nights[1:]) == ["no_traffic/production"]


def test_what_is_counted_is_told_with_its_figures_and_the_next_command():
    wrong = watched(
        hour=spent(40, again=60, failed=50),
        answered=[Answered("anthropic:claude-haiku-4-5", "claude-sonnet-4-6", 561, ("payment",), "r1")],
        unpriced=[Unpriced("openai:new", 3, 900)],
        used=[Used("budgets.production.usd_per_day", Decimal(40), Decimal(33), 0.825)],
        standing=[Standing("needs_you", 2, "r2", NOW - 3 * DAY)],
    )
    told = {trouble.cause: (trouble.weight, trouble.what, trouble.mend) for trouble in look(wrong, Limits())}
    assert told == {
        "model_mismatch/production/anthropic:claude-haiku-4-5/claude-sonnet-4-6": (
            "error",
            f"561 calls of 'payment' in production asked for {HAIKU} and were answered by claude-sonnet-4-6 in the last day",
            "trimtab runs show r1",
        ),
        "retry_storm/production": (
            "error",
            "60 of 160 calls in production in the last hour were made again (38%; usually 0.0%), 50 had no answer",
            "trimtab cost report --by model --since 1d --environment production",
        ),
        "budget/budgets.production.usd_per_day": (
            "warning",
            "budgets.production.usd_per_day = 40 is used to 82% (33) today (UTC)",
            "trimtab budgets",
        ),
        "unknown_price/production/openai:new": (
            "warning",
            "3 calls to openai:new in production in the last day (900 tokens) have no known price: the cost is in no sum",
            "trimtab models show openai:new",
        ),
        "standing/production/needs_you": (
            "warning",
            "2 runs stand as needs_you in production for more than 24 hours, the longest for 3 days",
            "trimtab runs list --status needs_you",
        ),
    }


# -- alerts ----------------------------------------------------------------------------------------------------------

QUIET = timedelta(hours=6)
TROUBLE = Trouble("spend_spike/production", "error", "production spent $9", "trimtab cost report", NOW - HOUR)


def after(found: list[Trouble], past: dict[str, list[AlertFact]], now: datetime) -> list[str]:
    """Make the moves of a round, add them to `past`, and give what was told."""
    made = moves(found, past, ["spend_spike/production"], now, QUIET)
    for move in made:
        past[move.cause] = [move] if move.state == OPEN else [*past[move.cause], move]
    return [move.state for move in made]


def test_a_cause_is_told_once_and_told_again_when_it_is_over():
    past: dict[str, list[AlertFact]] = {}
    assert after([TROUBLE], past, NOW) == [OPEN]
    assert after([TROUBLE], past, NOW + HOUR) == []
    assert after([], past, NOW + 2 * HOUR) == [CLOSED]
    assert after([], past, NOW + 3 * HOUR) == []


def test_a_cause_that_comes_back_stays_quiet_for_a_while_and_then_is_told_as_another():
    past: dict[str, list[AlertFact]] = {}
    after([TROUBLE], past, NOW)
    after([], past, NOW + HOUR)
    again = replace(TROUBLE, since=NOW + 2 * HOUR)
    assert after([again], past, NOW + 3 * HOUR) == []
    assert after([again], past, NOW + 8 * HOUR) == [OPEN]
    assert past["spend_spike/production"][0].number == 1


def test_the_rest_of_what_was_told_and_what_is_not_enough_open_nothing():
    past: dict[str, list[AlertFact]] = {}
    assert after([replace(TROUBLE, told=False)], past, NOW) == []
    after([TROUBLE], past, NOW)
    after([], past, NOW + HOUR)
    assert after([TROUBLE], past, NOW + 10 * HOUR) == []


def test_what_is_not_enough_to_open_an_alert_keeps_it_open():
    past: dict[str, list[AlertFact]] = {}
    after([TROUBLE], past, NOW)
    assert after([replace(TROUBLE, told=False)], past, NOW + HOUR) == []


def test_an_error_is_told_within_the_quiet_period_where_only_a_warning_was():
    past: dict[str, list[AlertFact]] = {}
    after([replace(TROUBLE, weight="warning")], past, NOW)
    after([], past, NOW + HOUR)
    again = replace(TROUBLE, since=NOW + 2 * HOUR)
    assert after([replace(again, weight="warning")], past, again.since) == []
    assert after([again], past, again.since) == [OPEN]


def test_an_alert_of_a_clock_that_was_ahead_hides_nothing():
    past: dict[str, list[AlertFact]] = {}
    after([TROUBLE], past, NOW + 365 * DAY)
    after([], past, NOW + 365 * DAY + HOUR)
    assert after([TROUBLE], past, NOW) == [OPEN]


def test_what_is_over_is_told_as_it_was_at_its_worst():
    past: dict[str, list[AlertFact]] = {}
    after([replace(TROUBLE, weight="warning", what="used to 80%")], past, NOW)
    after([replace(TROUBLE, what="used to 100%")], past, NOW + HOUR)
    after([], past, NOW + 2 * HOUR)
    assert past["spend_spike/production"][-1].what == "over: used to 100%"


def test_a_run_that_comes_to_stand_too_long_after_another_was_told_of_is_told_itself():
    standing = watched(standing=[Standing("needs_you", 1, "b", NOW - DAY - HOUR)])
    (found,) = look(standing, Limits())
    past: dict[str, list[AlertFact]] = {}
    first = replace(found, cause="spend_spike/production", since=NOW - 2 * DAY)
    after([first], past, NOW - 10 * HOUR)
    after([], past, NOW - 9 * HOUR)
    assert after([replace(found, cause="spend_spike/production")], past, NOW) == [OPEN]


def test_a_model_that_answers_with_more_than_a_name_is_told_in_one_line():
    (found,) = look(watched(answered=[Answered(HAIKU, "evil\nBcc: a@b \x1b[31m", 1, ("payment",), "r1")]), Limits())
    assert found.cause.endswith("/evil?Bcc: a@b ?[31m")
    assert found.what.isprintable()


def test_a_warning_that_becomes_an_error_is_told_once_more():
    past: dict[str, list[AlertFact]] = {}
    assert after([replace(TROUBLE, weight="warning")], past, NOW) == [OPEN]
    assert after([TROUBLE], past, NOW + HOUR) == [WORSE]
    assert after([TROUBLE], past, NOW + 2 * HOUR) == []


def test_demand_that_jumped_once_is_told_again_only_where_it_jumps_much_higher_or_later():
    past: dict[str, list[AlertFact]] = {}
    jumped = replace(TROUBLE, size=3.0, larger=10.0, evidence={"size": 3.0})
    after([jumped], past, NOW)
    after([], past, NOW + HOUR)
    later = NOW + 2 * DAY
    assert after([replace(jumped, since=later, size=5.0)], past, later) == []
    assert after([replace(jumped, since=later, size=31.0)], past, later) == [OPEN]
    after([], past, later + HOUR)
    assert after([replace(jumped, since=later + 15 * DAY)], past, later + 15 * DAY) == [OPEN]


@pytest.mark.parametrize(("rate", "a_run"), [(120, 0.02), (40, 0.06)])
@pytest.mark.parametrize("hours", [1, 2, 5, 30])
def test_a_spike_that_goes_on_is_found_however_late_somebody_looks(rate: int, a_run: float, hours: int):
    before = watched(days=10).hours
    spiked = [SpentHour(NOW - HOUR * back, spent(rate, a_run)) for back in range(hours, 0, -1)]
    (found,) = look(watched(hours=[*before[: -len(spiked)], *spiked], hour=spent(rate, a_run)), Limits())
    assert (found.cause, found.told) == ("spend_spike/production", True)
    assert found.since == NOW - HOUR * hours


def test_demand_that_is_calm_by_itself_is_told_again_from_a_third_more_on():
    (first,) = look(watched(days=14, hour=spent(100)), Limits())
    assert (first.told, first.size) == (True, 2.5)
    past: dict[str, list[AlertFact]] = {}
    after([first], past, NOW)
    after([], past, NOW + HOUR)
    again = replace(first, since=NOW + 2 * DAY)
    assert after([replace(again, size=3.2)], past, again.since) == []
    assert after([replace(again, size=3.4)], past, again.since) == [OPEN]


def test_demand_that_jumps_by_itself_is_told_again_only_where_it_is_twenty_times_as_high():
    jumpy = [SpentHour(h.at, spent(40 * (3 if h.at == NOW - 5 * DAY else 1))) for h in watched(days=14).hours]
    (found,) = look(watched(hours=jumpy, hour=spent(200)), Limits())
    assert (found.told, found.larger) == (True, 20.0)


@pytest.mark.parametrize("looked", ["chronic_burn/production", "spend_spike/prod", "spend_spike/prod/"])
def test_what_was_not_looked_for_is_not_over(looked: str):
    past: dict[str, list[AlertFact]] = {}
    after([TROUBLE], past, NOW)
    assert moves([], past, [looked], NOW + HOUR, QUIET) == []
    assert [move.state for move in moves([], past, ["spend_spike/"], NOW + HOUR, QUIET)] == [CLOSED]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 600)), max_size=40))
def test_an_alert_is_open_or_closed_and_never_twice_the_same(rounds: list[tuple[bool, int]]):
    past: dict[str, list[AlertFact]] = {}
    now, told = NOW, list[tuple[int, str]]()
    for wrong, minutes in rounds:
        now += timedelta(minutes=minutes)
        made = moves([replace(TROUBLE, since=now)] if wrong else [], past, [TROUBLE.cause], now, QUIET)
        assert moves([replace(TROUBLE, since=now)] if wrong else [], past, [TROUBLE.cause], now, QUIET) == made
        for move in made:
            past[move.cause] = [move] if move.state == OPEN else [*past[move.cause], move]
            told.append((move.number, move.state))
    assert len(set(told)) == len(told)
    assert [state for _, state in told] == [OPEN, CLOSED] * (len(told) // 2) + [OPEN] * (len(told) % 2)


def test_the_watch_needs_no_numpy():
    code = "import sys; import trimtab.alerts.watch; sys.exit(any(m in sys.modules for m in ('numpy', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
