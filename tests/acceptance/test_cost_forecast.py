"""`trimtab cost forecast` as a user has it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.recorded_runs import HAIKU, SONNET, Call, Recorded, make_store, now
from trimtab.core.usage import Usage

UPGRADE = ("cost", "forecast", "--from", "claude-haiku-4-5", "--to", "claude-sonnet-4-6")
ALIASES = (
    '[models]\nsmall = "anthropic:claude-haiku-4-5"\nbig = "anthropic:claude-sonnet-4-6"\n[roles]\ndefault = "small"\n'
)


@pytest.mark.parametrize(
    ("models", "tokens", "daily"),
    [
        (("claude-haiku-4-5", "claude-sonnet-4-6"), ("--input", "15000", "--output", "0"), 30.0),
        (("claude-haiku-4-5", "claude-sonnet-4-6"), ("--input", "15k", "--output", "1000"), 40.0),
        (("anthropic:claude-haiku-4-5", "claude-sonnet-4-6"), ("--input", "15000", "--output", "1000", "--cached", "13000"), 16.6),
        (("claude-haiku-5-5", "claude-sonnet-5-5"), ("--input", "15000", "--output", "1000"), 38.0),
        (("claude-sonnet-4-6", "claude-sonnet-5-5"), ("--input", "15000", "--output", "1000"), -20.0),
        (("claude-haiku-5-5", "claude-sonnet-5-5"), ("--input", "100001", "--output", "0"), 150.0015),
    ],
)  # fmt: skip
def test_given_numbers_come_to_the_cent(terminal, models, tokens, daily):
    said = terminal.run(
        "cost", "forecast", "--from", models[0], "--to", models[1], "--calls", "1000/day", *tokens, "--json"
    )
    assert said.code == 0, said.err
    assert said.json["daily_difference"] == daily
    assert said.json["monthly_difference"] == round(30 * daily, 9)
    for model, side in ((said.json["control"], "daily_control"), (said.json["treatment"], "daily_treatment")):
        lines = [line for line in said.json["lines"] if line["model"] == model]
        assert sum(line["usd"] for line in lines) == pytest.approx(said.json[side])
        assert all(
            line["calls"] * line["tokens"] * line["usd_per_mtok"] / 1e6 == pytest.approx(line["usd"]) for line in lines
        )


def test_a_person_reads_every_sum_and_what_is_not_known(terminal):
    said = terminal.run(*UPGRADE, "--calls", "1k", "--input", "15000", "--output", "0")
    assert said.code == 0, said.err
    assert "  1,000 calls a day x 15,000 = 15,000,000 input tokens x $1.00 per million = $15.00 a day\n" in said.out
    assert "difference: +$30.00 a day (3 x), +$900.00 in 30 days" in said.out
    assert "trimtab replay --set ROLE=MODEL" in said.out


def test_the_distance_to_a_tier_and_the_tier_that_was_reached_are_named(terminal):
    def tiers(prompt: str) -> str:
        models = ("--from", "claude-haiku-5-5", "--to", "claude-haiku-5-5")
        return terminal.run("cost", "forecast", *models, "--calls", "1", "--input", prompt, "--output", "0").out

    assert "a prompt of 90,000 tokens is 10,000 below the tier over 100,000" in tiers("90000")
    assert "is over 100,000, so ALL its tokens have the prices of that tier (5 x for input)" in tiers("100001")


def test_aliases_of_the_policy_name_models(terminal):
    terminal.write("trimtab.toml", ALIASES)
    numbers = ("--calls", "24k/month", "--input", "1000", "--output", "10", "--json")
    said = terminal.run("cost", "forecast", "--from", "small", "--to", "big", *numbers)
    assert (said.json["control"], said.json["treatment"]) == (HAIKU, SONNET)
    assert said.json["daily_control"] == pytest.approx(800 * (1000 * 1 + 10 * 5) / 1e6)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--from", "claude-haiku-4-6", "--to", "claude-sonnet-4-6"), "hint: did you mean anthropic:claude-haiku-4-5"),
        (("--from", "claude-haiku-4-5", "--to", "nothing:like-it"), "unknown model 'nothing:like-it'"),
        (("--from", "haiku", "--to", "claude-sonnet-4-6"), "it is an alias, which means anthropic:claude-haiku-5-5 today"),
        (("--from", "Claude-Haiku-4-5", "--to", "claude-sonnet-4-6"), "hint: did you mean anthropic:claude-haiku-4-5"),
        ((*UPGRADE[2:], "--calls", "1000/fortnight"), "expected such as 1000/day"),
        ((*UPGRADE[2:], "--calls", "1,5/day"), "expected such as 1000/day"),
        ((*UPGRADE[2:], "--calls", "1000"), "how many --input and --output?"),
        ((*UPGRADE[2:], "--calls", "1", "--input", "10", "--output", "1", "--cached", "11"), "11 tokens of a prompt of 10"),
        ((*UPGRADE[2:], "--calls", "1", "--input", "1.5", "--output", "1"), "no whole number"),
        ((*UPGRADE[2:], "--over", "last-30d", "--calls", "1"), "--calls cannot be used here"),
        ((*UPGRADE[2:], "--calls", "1", "--input", "1", "--output", "1", "--role", "x"), "--role cannot be used here"),
        ((*UPGRADE[2:], "--over", "yesterday"), "is no span of time"),
        ((*UPGRADE[2:], "--over", "last-30d"), "no such store"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_a_way_on(terminal, arguments, complaint):
    said = terminal.run("cost", "forecast", *arguments)
    assert (said.code, said.out) == (2, "")
    assert complaint in said.err
    assert "Traceback" not in said.err


def test_given_numbers_need_nothing_but_the_core(terminal):
    # A module of this name that cannot be imported stands before the real one.
    terminal.write("hidden/numpy.py", "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    hidden = {"env": {"PYTHONPATH": str(terminal.folder / "hidden")}}
    numbers = ("--calls", "1000", "--input", "15000", "--output", "0", "--json")
    assert terminal.run(*UPGRADE, *numbers, **hidden).json["daily_difference"] == 30.0
    recorded = store(terminal.folder)
    said = terminal.run(*UPGRADE, "--over", "last-30d", "--store", recorded, **hidden)
    assert said.code == 2
    assert "needs numpy" in said.err
    assert "trimtab[learn]" in said.err


# -- from recorded runs --------------------------------------------------------------------------------------------


def store(folder, *, days: int = 10, sonnets: int = 0) -> str:
    """Four runs a day, each planned by one call and paid by one, the second one longer every day."""
    first = now() - timedelta(days=days)
    runs = [
        Recorded(
            f"r{n}", first + timedelta(hours=6 * n),
            [Call("orchestrator", HAIKU, Usage(10_000, 500)), Call("payment", HAIKU, Usage(2000 + 10 * n, 100, 3000))],
        )
        for n in range(4 * days)
    ]  # fmt: skip
    runs += [Recorded(f"s{n}", first, [Call("payment", SONNET, Usage(1000, 100))]) for n in range(sonnets)]
    return str(make_store(folder / "recorded.db", runs))


def test_recorded_calls_are_priced_on_both_models_with_a_band(terminal):
    said = terminal.run(*UPGRADE, "--over", "last-30d", "--store", store(terminal.folder), "--json")
    assert said.code == 0, said.err
    told = said.json
    # By hand: 40 runs in 10 days; 10,000 + 2,195 on average plain, 3,000 cached, 600 out.
    daily = 40 * (12_195 * 1 + 3000 * 0.10 + 600 * 5) / 1e6 / told["recorded"]["days"]
    assert told["recorded"]["days"] == pytest.approx(10, rel=1e-3)
    assert told["daily_control"] == pytest.approx(daily, rel=1e-6)
    assert told["daily_treatment"] == pytest.approx(3 * daily, rel=1e-6)
    assert told["daily_difference"] == pytest.approx(2 * daily, rel=1e-6)
    assert told["monthly_difference"] == pytest.approx(60 * daily, rel=1e-6)
    assert sum(line["usd"] for line in told["lines"]) == pytest.approx(4 * daily, rel=1e-6)
    assert (told["recorded"]["calls"], told["recorded"]["runs"]) == (80, 40)
    low, high = told["interval"]["daily_difference"]
    assert low < told["daily_difference"] < high
    assert told["warnings"] == []
    again = terminal.run(*UPGRADE, "--over", "last-30d", "--store", str(terminal.folder / "recorded.db"), "--json").json
    assert again["interval"]["daily_difference"] == pytest.approx([low, high], rel=1e-3)


def test_a_span_that_the_store_tells_of_whole_is_as_long_as_it_says(terminal):
    """Half a day has half a day's runs, and a week with nothing on its first days still has seven days."""
    first = now() - timedelta(days=10)
    times = [first, *(now() - timedelta(hours=hours) for hours in (1, 9))]
    runs = [Recorded(f"r{n}", at, [Call("a", HAIKU, Usage(10_000))]) for n, at in enumerate(times)]
    path = str(make_store(terminal.folder / "t.db", runs))

    def daily(over: str):
        told = terminal.run(*UPGRADE, "--over", over, "--store", path, "--json").json
        return told["daily_control"], told["recorded"]["days"], told["warnings"][-1]

    hourly = "a day is taken to go on like the hours that were asked for"
    assert daily("last-12h") == (pytest.approx(0.04, rel=1e-3), pytest.approx(0.5, rel=1e-3), hourly)
    assert daily("last-7d")[:2] == (pytest.approx(0.02 / 7, rel=1e-3), pytest.approx(7, rel=1e-3))
    assert daily("last-30d")[:2] == (pytest.approx(0.003, rel=1e-3), pytest.approx(10, rel=1e-3))


def test_a_record_of_less_than_a_day_is_taken_for_a_day(terminal):
    path = make_store(
        terminal.folder / "t.db", [Recorded("r", now() - timedelta(hours=6), [Call("a", HAIKU, Usage(10_000))])]
    )
    for over in ("last-12h", "last-30d"):
        told = terminal.run(*UPGRADE, "--over", over, "--store", str(path), "--json").json
        assert (told["daily_control"], told["recorded"]["days"]) == (0.01, 1.0)
        assert told["warnings"][-1].startswith("less than a day is recorded")


def test_an_alias_for_a_model_without_a_price_is_told_from_a_name_that_is_not_known(terminal):
    terminal.write("trimtab.toml", '[models]\nnovel = "anthropic:claude-nova-9"\n[roles]\ndefault = "novel"\n')
    said = terminal.run("cost", "forecast", "--from", "novel", "--to", "claude-sonnet-4-6")
    assert "'novel' stands for 'anthropic:claude-nova-9', which has no price\nhint: trimtab models check" in said.err


def test_one_role_is_priced_alone(terminal):
    path = store(terminal.folder)
    said = terminal.run(*UPGRADE, "--over", "last-30d", "--store", path, "--role", "orchestrator", "--json")
    whole = said.json["daily_difference"] * said.json["recorded"]["days"]
    assert whole == pytest.approx(2 * 40 * (10_000 + 500 * 5) / 1e6)
    nobody = terminal.run(*UPGRADE, "--over", "last-30d", "--store", path, "--role", "nobody")
    assert nobody.code == 2
    assert "no model call by 'nobody'" in nobody.err
    assert "hint: there is orchestrator, payment" in nobody.err
    moon = terminal.run(*UPGRADE, "--over", "last-30d", "--store", path, "--environment", "moon")
    assert "hint: there is local" in moon.err


def test_calls_that_were_not_made_on_the_model_are_left_out_and_counted(terminal):
    path = store(terminal.folder, sonnets=3)
    said = terminal.run(*UPGRADE, "--over", "last-30d", "--store", path, "--json")
    assert said.json["recorded"]["calls"] == 80
    assert any("3 calls were made on anthropic:claude-sonnet-4-6 and are left out" in w for w in said.json["warnings"])
    every = terminal.run(*UPGRADE, "--over", "last-30d", "--store", path, "--every-model", "--json")
    assert every.json["recorded"]["calls"] == 83
    other = terminal.run(
        "cost", "forecast", "--from", "claude-opus-5-5", "--to", "claude-fable-5-2", "--over", "last-30d", "--store", path, "--json"
    )  # fmt: skip
    assert other.json["recorded"]["calls"] == 83
    assert any("no call was made on anthropic:claude-opus-5-5" in warning for warning in other.json["warnings"])


def test_calls_that_have_no_price_are_counted_and_shouted(terminal):
    """OpenAI's models have no price for writing a cache."""
    calls = [Call("a", HAIKU, Usage(1000)), Call("a", HAIKU, Usage(1000, cache_write_5m=7))]
    path = make_store(
        terminal.folder / "t.db", [Recorded("r", now() - timedelta(days=2), calls[:1]), Recorded("q", now(), calls[1:])]
    )
    told = terminal.run(
        "cost", "forecast", "--from", "claude-haiku-4-5", "--to", "gpt-5", "--over", "last-30d", "--store", str(path)
    )
    assert told.code == 1
    assert "unknown price: 1 calls have no price on one of the models, and count on neither side" in told.out
    numbers = ("--calls", "10", "--input", "10", "--output", "1", "--cache-writes", "5")
    given = terminal.run("cost", "forecast", "--from", "claude-haiku-4-5", "--to", "gpt-5", *numbers, "--json")
    assert given.code == 1
    assert given.json["daily_difference"] is None
    assert given.json["daily_control"] is not None
    assert given.json["unpriced"] == ["openai:gpt-5 has no price for cache_write_5m"]
