"""What calls would cost on another model: sums, tiers, and how amounts are read and written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.cli.cost_models import PriceBook
from trimtab.core.traffic import Traffic
from trimtab.core.usage import Usage
from trimtab.learn import forecast
from trimtab.learn.amounts import count, money, price, read_amount, read_rate
from trimtab.learn.forecast import Forecast, Repricing
from trimtab.learn.resample import bands
from trimtab.learn.tariff import KINDS, Tariff
from trimtab.models.catalogue import Catalogue

TODAY = date(2026, 11, 23)
BOOK = PriceBook(Catalogue(), TODAY, None)
MODELS = [
    "anthropic:claude-haiku-4-5", "anthropic:claude-haiku-5-5", "anthropic:claude-sonnet-4-6",
    "anthropic:claude-sonnet-5-5", "anthropic:claude-opus-5-5", "anthropic:claude-fable-5-2",
]  # fmt: skip
tokens = st.integers(0, 300_000)
usages = st.builds(Usage, tokens, tokens, tokens, tokens, tokens)
rates = st.decimals(Decimal("0.01"), Decimal(100_000), places=2)
models = st.sampled_from(MODELS)


def of(before: str, after: str, usage: Usage, calls: int | Decimal = 1000) -> Forecast:
    one, two = BOOK.tariffs((f"anthropic:{before}", f"anthropic:{after}"))
    return forecast.given(Decimal(calls), usage, one, two)


# Every row of the table of day costs: 15,000 tokens in and 1,000 out, and the same with 13,000 of them cached.
@pytest.mark.parametrize(
    ("model", "plain", "cached"),
    [
        ("claude-haiku-5-5", "2", "0.83"),
        ("claude-haiku-4-5", "20", "8.30"),
        ("claude-sonnet-5-5", "40", "15.30"),
        ("claude-sonnet-4-6", "60", "24.90"),
        ("claude-opus-5-5", "80", "30.60"),
        ("claude-fable-5-2", "160", "58.60"),
    ],
)
def test_a_thousand_calls_cost_what_the_price_list_comes_to(model, plain, cached):
    assert of(model, model, Usage(15_000, 1000)).daily_control == Decimal(plain)
    assert of(model, model, Usage(2000, 1000, 13_000)).daily_treatment == Decimal(cached)


@pytest.mark.parametrize(
    ("before", "after", "usage", "difference"),
    [
        ("claude-haiku-4-5", "claude-sonnet-4-6", Usage(15_000), "30"),
        ("claude-haiku-4-5", "claude-sonnet-4-6", Usage(15_000, 1000), "40"),
        ("claude-haiku-4-5", "claude-sonnet-4-6", Usage(2000, 1000, 13_000), "16.60"),
        ("claude-haiku-5-5", "claude-sonnet-5-5", Usage(15_000, 1000), "38"),
        ("claude-sonnet-4-6", "claude-sonnet-5-5", Usage(15_000, 1000), "-20"),
        ("claude-haiku-5-5", "claude-haiku-4-5", Usage(100_000), "90"),
        ("claude-haiku-5-5", "claude-haiku-4-5", Usage(100_001), "50.0005"),
        ("claude-haiku-5-5", "claude-haiku-4-5", Usage(1, 0, 100_000), "5.0005"),
        ("claude-haiku-4-5", "claude-sonnet-4-6", Usage(cache_write_1h=1_000_000), "4000"),
    ],
)
def test_an_upgrade_costs_the_difference_of_the_two_lists(before, after, usage, difference):
    found = of(before, after, usage)
    assert found.daily_difference == Decimal(difference)
    assert found.monthly_difference == 30 * Decimal(difference)


def test_every_line_shows_the_sum_that_it_is():
    lines = of("claude-haiku-4-5", "claude-sonnet-4-6", Usage(2000, 1000, 13_000)).lines
    assert [line.text for line in lines[:3]] == [
        "1,000 calls a day x 2,000 = 2,000,000 input tokens x $1.00 per million = $2.00 a day",
        "1,000 calls a day x 13,000 = 13,000,000 tokens read from the cache x $0.10 per million = $1.30 a day",
        "1,000 calls a day x 1,000 = 1,000,000 output tokens x $5.00 per million = $5.00 a day",
    ]
    assert [line.model for line in lines] == ["anthropic:claude-haiku-4-5"] * 3 + ["anthropic:claude-sonnet-4-6"] * 3


def test_a_line_above_a_tier_names_it():
    line = of("claude-haiku-5-5", "claude-haiku-5-5", Usage(100_001)).lines[0]
    assert (line.tier, line.usd_per_mtok) == (100_000, Decimal("0.5"))
    assert "(prompts over 100,000 tokens) x $0.50 per million" in line.text


def test_what_has_no_price_is_unknown_and_so_is_every_sum_of_it():
    free = dict.fromkeys(KINDS, Decimal(1))
    lacking = Tariff("p:m", (0,), {0: {**free, "cache_write_1h": None}})
    found = forecast.given(Decimal(10), Usage(5, cache_write_1h=5), lacking, Tariff("p:n", (0,), {0: free}))
    assert (found.daily_control, found.daily_difference, found.monthly_difference) == (None, None, None)
    assert found.daily_treatment == Decimal("0.0001")
    assert found.lines[1].text.endswith("the price is unknown")


@given(models, models, usages, rates, rates)
def test_calls_add_up(before, after, usage, some, more):
    one, two = BOOK.tariffs((before, after))
    parts = [forecast.given(calls, usage, one, two).daily_difference for calls in (some, more)]
    assert forecast.given(some + more, usage, one, two).daily_difference == sum(filter(None, parts))


@given(models, usages)
def test_the_lines_of_a_call_come_to_what_the_catalogue_asks_for_it(model, usage):
    one, two = BOOK.tariffs((model, model))
    assert forecast.given(Decimal(1), usage, one, two).daily_control == BOOK.catalogue.cost(model, usage, TODAY)


def taken_apart(calls: Sequence[tuple[int, Usage]], starts: Sequence[int]) -> list[Traffic]:
    """Do by hand what the journal does in SQL."""
    calls = sorted(calls, key=lambda call: call[0])
    return [
        Traffic(
            f"r{run}",
            "role",
            "m",
            max(s for s in starts if s == 0 or s < usage.prompt),
            1,
            usage,
            usage.prompt,
            simulated=False,
        )
        for run, usage in calls
    ]


def repriced(parts: Sequence[Traffic], one: Tariff, two: Tariff) -> Repricing:
    found = Repricing(one, two)
    for part in parts:
        found.add(part)
    return found


@settings(max_examples=50)
@given(models, models, st.lists(st.tuples(st.integers(0, 3), usages), min_size=1, max_size=8))
def test_recorded_calls_come_to_the_sum_of_their_prices_whatever_tiers_they_reach(before, after, calls):
    one, two = BOOK.tariffs((before, after))
    found = repriced(taken_apart(calls, sorted({*one.starts, *two.starts})), one, two)
    made = found.forecast(Decimal(1))
    prices = [[BOOK.catalogue.cost(model, usage, TODAY) for _, usage in calls] for model in (before, after)]
    assert found.calls == len(calls)
    assert abs((made.daily_control or 0) - sum(prices[0])) < Decimal("1e-15")
    assert abs((made.daily_treatment or 0) - sum(prices[1])) < Decimal("1e-15")
    assert len(found.runs) == len({run for run, _ in calls})
    assert [sum(side) for side in zip(*found.runs, strict=True)] == [pytest.approx(float(sum(side))) for side in prices]


def test_calls_without_a_price_on_one_model_count_on_neither_and_are_counted():
    lacking = Tariff("p:m", (0,), {0: dict.fromkeys(KINDS, Decimal(1)) | {"cache_read": None}})
    one = BOOK.tariff("anthropic:claude-haiku-4-5")
    parts = taken_apart([(0, Usage(10)), (1, Usage(10, cache_read=5))], [0])
    found = repriced(parts, one, lacking)
    assert (found.calls, found.unpriced, len(found.runs)) == (1, 1, 1)
    assert found.forecast(Decimal(1)).daily_control == Decimal("0.00001")


def test_a_tier_says_where_it_begins_and_which_is_next():
    tiers = Tariff("p:m", (0, 100, 200), {})
    assert [tiers.tier(prompt) for prompt in (0, 100, 101, 200, 201)] == [0, 0, 100, 100, 200]
    assert [tiers.next_tier(prompt) for prompt in (0, 100, 101, 201)] == [100, 100, 200, None]


@pytest.mark.parametrize(
    ("model", "prompt", "said"),
    [
        ("anthropic:claude-haiku-4-5", 200_000, []),
        ("anthropic:claude-haiku-4-5", 200_001, ["at most 200,000 tokens, not 200,001"]),
        ("anthropic:claude-sonnet-4-5", 1000, ["retires on 2026-11-30: from then on it does not answer"]),
        ("anthropic:claude-opus-4-1", 1000, ["is retired since 2026-08-05"]),
    ],
)
def test_a_prompt_that_does_not_fit_and_a_model_about_to_go_are_cautioned_of(model, prompt, said):
    found = BOOK.cautions(model, prompt)
    assert len(found) == len(said)
    assert all(part in caution for part, caution in zip(said, found, strict=True))


# -- the band ------------------------------------------------------------------------------------------------------


def test_the_band_of_few_runs_and_its_limit_for_many_agree():
    costs = np.random.default_rng(1).lognormal(-3, 1, (3000, 2))
    drawn, limit = bands(costs), bands(costs, most=10)
    for one, two in zip(drawn, limit, strict=True):
        assert one.low == pytest.approx(two.low, rel=0.02)
        assert one.high == pytest.approx(two.high, rel=0.02)


def test_the_band_is_the_same_every_time_and_scales_with_the_dollars():
    costs = np.random.default_rng(2).lognormal(-3, 1, (200, 1))
    (one,), (again,), (tenfold,) = bands(costs), bands(costs), bands(costs * 10)
    assert one == again
    assert (tenfold.low, tenfold.high) == (pytest.approx(one.low * 10), pytest.approx(one.high * 10))


def test_runs_that_cost_alike_still_come_in_more_or_less_often():
    (band,) = bands([[1.0]] * 100)
    assert band.low == pytest.approx(100 - 1.96 * 10, abs=2)
    assert band.high == pytest.approx(100 + 1.96 * 10, abs=2)


# -- amounts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "a_day"),
    [("1000", 1000), ("1000/day", 1000), ("1k/hour", 24_000), ("20000/month", Decimal(20_000) / 30), ("1.5M/week", Decimal(1_500_000) / 7),
     ("1,500/days", 1500), ("2_000", 2000), (".5/minute", 720)],
)  # fmt: skip
def test_calls_are_read_in_any_unit(text, a_day):
    assert round(read_rate(text), 9) == round(Decimal(a_day), 9)


@pytest.mark.parametrize(
    "text",
    ["", "x", "-5", "1e6", "5/fortnight", "5/", "1kk", "NaN", "5 / day / day", "9" * 40,
     "1,5", "0,200", "1,5000", "12,34,567", "1,"],
)  # fmt: skip
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match=r"amount|none of|comma"):
        read_rate(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("15,000", 15_000), ("1,234,567", 1_234_567), ("1,500.25", Decimal("1500.25")), ("1,000k", 10**6)],
)
def test_commas_stand_between_thousands(text, amount):
    assert read_amount(text) == amount


def test_a_sum_that_is_whole_but_for_its_last_digit_is_written_whole():
    assert count(read_rate("20000/month") * 15_000) == "10,000,000"
    assert (count(read_rate("20000/month")), count(Decimal("3.04")), count(Decimal("0.00001"))) == (
        "666.7",
        "3.0",
        "0.00001",
    )


@given(st.decimals(Decimal(0), Decimal(10**9), places=6))
def test_money_is_never_written_further_off_than_half_a_cent_or_a_thousandth(amount):
    written = Decimal(money(amount).removeprefix("$").replace(",", ""))
    assert abs(written - amount) <= max(Decimal("0.005") if amount >= 1 else Decimal(0), amount / 1000)


def test_money_prices_and_counts_are_written_as_people_write_them():
    assert [money(Decimal(a)) for a in ("0", "30", "1234.5", "0.125", "0.0005", "-0.4")] == [
        "$0.00", "$30.00", "$1,234.50", "$0.125", "$0.0005", "-$0.40",
    ]  # fmt: skip
    assert (money(Decimal(3), sign=True), price(Decimal("3.125")), price(Decimal("1E+1"))) == (
        "+$3.00",
        "$3.125",
        "$10.00",
    )
    assert (count(Decimal(1000)), count(Decimal("666.666")), count(Decimal("0.25"))) == ("1,000", "666.7", "0.25")
    assert read_amount("15k") == 15_000
    assert money(Decimal(10) ** 40) == "$1.000e+40"
