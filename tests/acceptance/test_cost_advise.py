"""`trimtab cost advise` as a user has it."""

from __future__ import annotations

import sqlite3

import pytest

from tests.fakes.factorial import IN, OUT, POLICY, factorial_store

A_MONTH = 100 * 30  # runs
HAIKU, SONNET, TINY = ((IN * a + OUT * b) / 1e6 * A_MONTH for a, b in ((1, 5), (3, 15), (0.1, 0.5)))


def told(terminal, *arguments: str, code: int = 0):
    said = terminal.run("cost", "advise", *arguments, "--json")
    assert said.code == code, said.err
    return said.json


def test_the_upgrade_that_is_known_to_help_is_advised_where_the_cap_allows(terminal):
    factorial_store(terminal.folder)
    found = told(terminal, "--cap", "160")
    assert found["now"]["usd_per_month"] == pytest.approx(2 * HAIKU, rel=1e-4)
    assert found["now"]["runs_per_month"] == pytest.approx(A_MONTH, rel=1e-4)
    assert found["chosen"]["changes"] == ["orchestrator haiku -> sonnet"]
    assert found["chosen"]["usd_per_month"] == pytest.approx(HAIKU + SONNET, rel=1e-4)
    low, high = found["chosen"]["gain_interval"]
    assert 0 < low < 0.20 < high
    assert [choice["chosen"] for choice in found["choices"]] == [False, True]
    payment = next(change for change in found["measured"] if change["change"] == "payment haiku -> sonnet")
    assert payment["gain_interval"][0] < 0 < payment["gain_interval"][1]


def test_under_a_lower_cap_everything_stays(terminal):
    factorial_store(terminal.folder)
    assert told(terminal, "--cap", "80")["chosen"]["changes"] == []


def test_a_downgrade_that_was_never_measured_is_named_and_not_advised(terminal):
    factorial_store(terminal.folder)
    found = told(terminal, "--cap", "50", code=1)
    assert found["chosen"] is None
    first = found["measure_next"][0]
    assert (first["from"], first["to"]) == ("anthropic:claude-haiku-4-5", "anthropic:claude-haiku-5-5")
    assert first["usd_per_month"] == pytest.approx(TINY - HAIKU, rel=1e-4)
    assert first["command"] == f"trimtab replay --set {first['role']}=tiny --over last-30d"
    out = terminal.run("cost", "advise", "--cap", "50").out
    assert "nothing that was measured brings it under the cap of $50.00" in out
    assert "measure this next" in out


def test_a_shipped_upgrade_may_be_taken_back_by_the_effect_that_was_measured(terminal):
    """Payment gained nothing by its dearer model, which the policy has now."""
    factorial_store(terminal.folder, runs=3000, policy=POLICY)
    terminal.write("trimtab.toml", POLICY.replace('default = "haiku"', 'default = "haiku"\npayment = "sonnet"'))
    found = told(terminal, "--cap", "200")
    back = next(change for change in found["measured"] if change["change"] == "payment sonnet -> haiku")
    assert back["usd_difference"] < 0
    low, high = back["gain_interval"]
    assert low < 0 < high
    # As it is now 187 runs a day cost 225 + 75 dollars a month or so: under a tight cap the known little loss is taken.
    tight = told(terminal, "--cap", "160")
    assert tight["chosen"]["changes"] == ["payment sonnet -> haiku"]


def test_a_floor_holds_only_where_it_is_known_to_be_held(terminal):
    factorial_store(terminal.folder)
    found = told(terminal, "--cap", "160", "--floor", "85%", code=1)
    assert found["chosen"] is None
    assert found["hopeful"]["changes"] == ["orchestrator haiku -> sonnet"]
    assert "nothing is known to hold the floor of 85.0%" in found["verdict"]
    assert told(terminal, "--cap", "160", "--floor", "0.60")["chosen"]["changes"] == ["orchestrator haiku -> sonnet"]


def test_the_table_marks_what_is_advised_and_the_page_and_the_picture_are_written(terminal):
    factorial_store(terminal.folder)
    said = terminal.run("cost", "advise", "--cap", "$160/month", "--html", "a.html", "--png", "a.png")
    assert said.code == 0, said.err
    (marked,) = [line for line in said.out.splitlines() if line.startswith("->")]
    assert "orchestrator haiku -> sonnet" in marked
    assert "in no choice: payment haiku -> sonnet" in said.out
    page = (terminal.folder / "a.html").read_text("utf-8")
    assert "<svg " in page
    assert "advised: orchestrator haiku -&gt; sonnet" in page
    assert "$" + "title" not in page
    assert (terminal.folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_effect_that_does_not_start_from_the_map_as_it_is_is_named_and_not_used(terminal):
    factorial_store(terminal.folder)
    terminal.write("trimtab.toml", POLICY.replace('default = "haiku"', 'default = "tiny"'))
    found = told(terminal, "--cap", "160")
    assert found["measured"] == []
    assert found["chosen"]["changes"] == []
    assert any("payment haiku -> sonnet: the policy has neither now" in warning for warning in found["warnings"])


def test_an_effect_of_another_environment_is_used_and_said_to_be(terminal):
    factorial_store(terminal.folder)
    terminal.write("trimtab.toml", POLICY + "[environments.production]\n")
    connection = sqlite3.connect(terminal.folder / "trimtab.db")
    with connection:
        # The last runs came in where no experiment ran.
        connection.execute("UPDATE run SET environment = 'production' WHERE run_id >= 'r9'")
    connection.close()
    found = told(terminal, "--cap", "16000", "--environment", "production")
    assert "experiment 'which' was measured in local, not in production" in found["warnings"]
    several = terminal.run("cost", "advise", "--cap", "160")
    assert several.code == 2
    assert "has runs of local, production: whose roles?" in several.err


def test_a_role_whose_model_has_no_price_cannot_be_capped(terminal):
    factorial_store(terminal.folder, runs=200)
    terminal.write(
        "trimtab.toml",
        POLICY.replace("claude-haiku-5-5", "claude-haiku-9-9").replace('default = "haiku"', 'default = "tiny"'),
    )
    said = terminal.run("cost", "advise", "--cap", "160")
    assert said.code == 2
    assert "is on 'anthropic:claude-haiku-9-9', whose price is not known" in said.err


def test_without_a_policy_nobody_knows_what_the_roles_are_now(terminal):
    factorial_store(terminal.folder)
    (terminal.folder / "trimtab.toml").unlink()
    said = terminal.run("cost", "advise", "--cap", "160")
    assert said.code == 2
    assert "which model plays each role now?" in said.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Missing option '--cap'"),
        (("--cap", "5/week"), "expected such as 500 or 500/month"),
        (("--cap", "5", "--floor", "x"), "expected such as 0.85 or 85%"),
        (("--cap", "5", "--over", "x"), "is no span of time"),
        (("--cap", "5", "--environment", "moon"), "no model call of a run accepted in 'moon'"),
        (("--cap", "5", "--experiment", "other"), "no experiment 'other' was started"),
        (("--cap", "5", "--html", "no/such/a.html"), "cannot write"),
    ],
)
def test_what_cannot_be_used_is_named(terminal, arguments, complaint):
    factorial_store(terminal.folder, runs=200)
    said = terminal.run("cost", "advise", *arguments)
    assert said.code == 2
    assert complaint in said.err
    assert "Traceback" not in said.err
