from __future__ import annotations

import subprocess
import sys
import typing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.usage import Usage
from trimtab.models.catalogue import GenaiPrices

TODAY = date(2026, 11, 23)
PRICES = GenaiPrices()
MILLION = 1_000_000
TOKENS = st.integers(0, 200_000)


@pytest.mark.parametrize(
    ("model", "per_million"),
    [  # input, output, cache read, five-minute write, one-hour write
        ("claude-haiku-4-5", "1 5 .10 1.25 2"),
        ("claude-haiku-4-5-20251001", "1 5 .10 1.25 2"),
        ("claude-haiku-5-5", ".10 .50 .01 .125 .20"),
        ("claude-sonnet-4-6", "3 15 .30 3.75 6"),
        ("claude-sonnet-5", "2 10 .20 2.5 4"),
        ("claude-sonnet-5-5", "2 10 .10 2.5 4"),
        ("claude-opus-4-8", "5 25 .50 6.25 10"),
        ("claude-opus-5", "5 25 .50 6.25 10"),
        ("claude-opus-5-5", "4 20 .20 5 8"),
        ("claude-fable-5-1", "10 50 .25 12.5 20"),
        ("claude-fable-5-2", "8 40 .20 10 16"),
        ("claude-mythos-5-2", "8 40 .20 10 16"),
    ],
)
def test_every_kind_of_token_has_its_published_price(model: str, per_million: str):
    kinds = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    for kind, price in zip(kinds, per_million.split(), strict=True):
        assert PRICES.cost(f"anthropic:{model}", Usage(**{kind: 1000}), TODAY) == Decimal(price) / 1000, kind


def test_a_cost_is_exact_to_the_last_digit():
    usage = Usage(input=1, output=1, cache_read=1, cache_write_5m=1, cache_write_1h=1)
    assert PRICES.cost("anthropic:claude-haiku-4-5", usage, TODAY) == Decimal("0.00000935")
    assert PRICES.cost("anthropic:claude-haiku-4-5", Usage(), TODAY) == 0


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input=100_000, output=1000), "0.0105"),
        (Usage(input=100_001, output=1000), "0.0525005"),
        (Usage(input=50_000, cache_read=50_001, output=1000), "0.03000005"),
        (Usage(cache_write_5m=50_000, cache_write_1h=50_001), "0.08125100"),
    ],
)
def test_a_prompt_over_100_000_tokens_makes_all_tokens_of_haiku_5_5_five_times_as_dear(usage: Usage, dollars: str):
    assert PRICES.cost("anthropic:claude-haiku-5-5", usage, TODAY) == Decimal(dollars)


def test_the_price_is_that_of_the_day():
    usage = Usage(input=200_001)
    costs = [PRICES.cost("anthropic:claude-sonnet-4-6", usage, date(2026, 3, day)) for day in (12, 13)]
    assert costs == [Decimal("1.200006"), Decimal("0.600003")]


@pytest.mark.parametrize(
    "model",
    [
        "anthropic:claude-haiku-4-5-fast",
        "anthropic:claude-haiku-4-50",
        "anthropic:claude-haiku-4-5-20251",
        "anthropic:my-claude-haiku-4-5",
        "anthropic:claude-mythos-5",
        "anthropic:nothing",
        "anthropic:",
        "my-anthropic:claude-haiku-4-5",
        "local:gpt-4o",
        "claude-haiku-4-5",
        "",
    ],
)
def test_what_is_not_known_exactly_has_no_price(model: str):
    assert not PRICES.known(model)
    assert PRICES.cost(model, Usage(input=1000), TODAY) is None
    assert PRICES.cost(model, Usage(), TODAY) is None


def test_a_kind_of_token_without_a_price_has_no_cost():
    assert PRICES.cost("anthropic:claude-2", Usage(input=1000), TODAY) == Decimal("0.008")
    assert PRICES.cost("anthropic:claude-2", Usage(input=1000, cache_read=1), TODAY) is None


def test_models_of_openai_have_prices_too():
    assert PRICES.known("openai:gpt-4o-mini")
    assert PRICES.cost("openai:gpt-4o-mini", Usage(input=MILLION // 2, cache_read=MILLION // 2), TODAY) == Decimal(
        "0.1125"
    )


def test_every_model_id_of_the_sdk_but_three_has_a_price():
    from anthropic.types import model_param

    ids = [name for names in typing.get_args(model_param.ModelParam) for name in typing.get_args(names)]
    assert len(ids) >= 20
    unknown = {name for name in ids if not PRICES.known(f"anthropic:{name}")}
    assert unknown == {"claude-mythos-5", "claude-mythos-5-1", "claude-mythos-preview"}


@given(tokens=st.tuples(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS))
@pytest.mark.parametrize("model", ["anthropic:claude-haiku-5-5", "anthropic:claude-sonnet-4-6", "openai:gpt-5.6"])
def test_a_cost_is_what_the_library_makes_of_it(model: str, tokens: tuple[int, int, int, int, int]):
    usage = Usage(*tokens)
    if model.startswith("openai"):
        usage = replace(usage, cache_write_5m=0, cache_write_1h=0)
    provider, _, name = model.partition(":")
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.prompt,
            output_tokens=usage.output,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
            cache_write_1h_tokens=usage.cache_write_1h,
        ),
        name,
        provider_id=provider,
        genai_request_timestamp=datetime(2026, 11, 23, 12, tzinfo=UTC),
    )
    assert PRICES.cost(model, usage, TODAY) == theirs.total_price


def test_the_data_set_has_a_name():
    assert PRICES.version.startswith("genai-prices 0.")


def test_prices_need_no_network_and_no_model_library():
    code = (
        "import sys, datetime; from trimtab.models.catalogue import GenaiPrices; from trimtab.core.usage import Usage;"
        "GenaiPrices().cost('anthropic:claude-haiku-4-5', Usage(1), datetime.date(2026, 1, 1));"
        "print(*sorted({'pydantic_ai', 'anthropic', 'openai'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == ""
