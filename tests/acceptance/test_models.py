"""`trimtab models` through a terminal."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from trimtab.core.records import ModelCallFact
from trimtab.journal.writer import SqliteFacts

ON = ("--on", "2026-11-23")
POLICY = """
[app]
prices = "our-prices.toml"
[models]
sonnet = "anthropic:claude-sonnet-4-5"
[roles]
orchestrator = "sonnet"
payment = { model = "anthropic:claude-haiku-5-5", escalate = ["openai:my-llama"] }
"""
PRICES = """
date = 2026-11-20
[models."openai:my-llama"]
prices = [{ input = 0, output = 0.1, source = "our own machines" }]
"""


@pytest.fixture
def site(terminal):
    terminal.write("trimtab.toml", POLICY)
    terminal.write("our-prices.toml", PRICES)
    return terminal


def test_models_are_listed_with_prices_and_retirement(terminal):
    said = terminal.run("models", "list", "--provider", "anthropic", *ON)
    assert said.code == 0, said.err
    rows = {line.split()[0]: line.split()[1:] for line in said.out.splitlines() if line.startswith("anthropic:")}
    assert rows["anthropic:claude-haiku-5-5"] == ["0.10", "0.50", "0.01", "0.125", "0.20", "1M", "100K", "-"]
    assert rows["anthropic:claude-sonnet-4-5"][-1] == "2026-11-30"
    assert rows["anthropic:claude-opus-4-0"][-2:] == ["2026-06-15", "(retired)"]
    listed = terminal.run("models", "list", "--json", *ON).json
    assert {model["model"].partition(":")[0] for model in listed["models"]} == {"anthropic", "openai"}
    (haiku,) = [model for model in listed["models"] if model["model"] == "anthropic:claude-haiku-5-5"]
    assert (haiku["input"], haiku["tiers"][0]["over"], haiku["tiers"][0]["input"]) == (0.1, 100_000, 0.5)
    assert haiku["source"].startswith("genai-prices ")


def test_prices_are_those_of_the_day_that_is_asked_for(terminal):
    said = terminal.run("models", "show", "claude-sonnet-4-6", "--json", "--on", "2026-03-12").json
    assert [(row["from"], row["until"], row["in_force"], len(row["tiers"])) for row in said["prices"]] == [
        (None, "2026-03-12", True, 1),
        ("2026-03-13", None, False, 0),
    ]


def test_one_model_is_shown_with_all_there_is(terminal):
    said = terminal.run("models", "show", "claude-haiku-5-5", *ON)
    assert said.code == 0, said.err
    assert (
        "1,000 calls of 15,000 tokens in and 1,000 out on 2026-11-23: $2.00; with 13,000 of the 15,000 read" in said.out
    )
    assert "$0.83" in said.out
    assert "over 100,000" in said.out
    assert "also: anthropic:haiku" in said.out
    shown = terminal.run("models", "show", "anthropic:claude-mythos-preview", "--json", *ON).json
    assert (shown["retired"], shown["day_cost"]["cached"]) == (True, None)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("show", "claude-haiku-4-5-fast"), "did you mean anthropic:claude-haiku-4-5 or"),
        (("show", "sonnet"), "it is an alias, which means anthropic:claude-sonnet-5-5 today"),
        (("list", "--provider", "antropic"), "did you mean 'anthropic'?"),
        (("list", "--provider", ""), "expected one of 'anthropic', "),
        (("check",), "write one with the sections [models] and [roles]"),
        (("list", "--on", "yesterday"), "yesterday"),
    ],
)
def test_what_is_not_known_is_told_with_the_next_thing_to_try(terminal, arguments, hint):
    said = terminal.run("models", *arguments)
    assert (said.code, said.out) == (2, "")
    assert hint in said.err


def test_a_policy_with_a_model_about_to_retire_is_not_fine(site):
    said = site.run("models", "check", "--json", *ON)
    assert said.code == 1, said.err
    (finding,) = said.json["findings"]
    assert finding["what"] == "anthropic:claude-sonnet-4-5 retires in 7 days, on 2026-11-30"
    assert finding["where"] == "models.sonnet, roles.orchestrator"
    assert finding["hint"].endswith("trimtab cost forecast --from claude-sonnet-4-5 --to claude-sonnet-5-5")
    assert (said.json["models"], said.json["store"]) == (3, None)
    assert "our-prices.toml 2026-11-20" in said.json["prices"]
    text = site.run("models", "check", *ON).out
    assert text.startswith("warning: anthropic:claude-sonnet-4-5 retires in 7 days")


def test_a_policy_of_models_that_stay_is_fine(site):
    site.write("trimtab.toml", POLICY.replace("claude-sonnet-4-5", "claude-sonnet-5-5"))
    said = site.run("models", "check", *ON)
    assert (said.code, said.err) == (0, "")
    assert "3 models checked, nothing has to be done" in said.out


@pytest.mark.parametrize("model", ["claude-opus-4-1", "claude-opus-4-1-20250805", "claude-opus-4-1[1m]"])
def test_the_model_that_the_policy_gives_the_terminal_is_checked_too(site, model):
    site.write("trimtab.toml", f'{POLICY.replace("sonnet-4-5", "sonnet-5-5")}[terminal]\nmodel = "{model}"\n')
    said = site.run("models", "check", "--json", *ON)
    assert (said.code, said.json["models"]) == (1, 4)
    (finding,) = said.json["findings"]
    assert finding["what"] == f"anthropic:{model.removesuffix('[1m]')} is retired since 2026-08-05"
    assert (finding["where"], finding["weight"]) == ("terminal.model", "error")


def test_prompts_of_the_last_month_are_compared_with_tiers(site):
    site.write("trimtab.toml", POLICY.replace("claude-sonnet-4-5", "claude-sonnet-5-5"))
    connection = sqlite3.connect(site.folder / "trimtab.db", isolation_level=None)
    SqliteFacts().migrate(connection)
    call = ModelCallFact(
        "r", "s/1", "payment", None, 1, "anthropic:claude-haiku-4-5", None, None, 90_000, 1, 20_000, 0, 0, "end_turn", "",
        "", 1.0, None, simulated=False, at=datetime.now(UTC),
    )  # fmt: skip
    SqliteFacts().write(connection, [call])
    connection.close()
    said = site.run("models", "check", "--json", *ON)
    assert said.code == 1, said.err
    (finding,) = said.json["findings"]
    assert finding["where"] == "role payment"
    assert "beyond 100,000 tokens, where anthropic:claude-haiku-5-5 gets dearer" in finding["what"]
    assert "had 110,000 tokens" in finding["why"]


def test_prices_of_a_site_hold_everywhere_and_are_refused_by_key_path(site):
    shown = site.run("models", "show", "openai:my-llama", "--json", *ON).json
    assert shown["prices"][0]["source"] == "our-prices.toml 2026-11-20: our own machines"
    site.write("our-prices.toml", PRICES.replace("0.1", "-0.1"))
    for command in (("models", "list"), ("models", "check"), ("policy", "check")):
        said = site.run(*command)
        assert said.code == 2
        assert 'our-prices.toml: models."openai:my-llama".prices.1.output: expected dollars' in said.err
